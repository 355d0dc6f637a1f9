"""What commands that read a declaration share: store, network, options, and messages.

Those that read a file or a platform alone come here, too; so what a job needs is loaded where it
is asked for.
"""

from __future__ import annotations

import argparse
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from imagist.cli.environment import host_platform, read_epoch
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.errors import InputError, NotFound, RequestError
from imagist.oci.platform import ALL_ARCHITECTURES, Platform, parse_platform

if TYPE_CHECKING:
    from imagist.build.context import Context, Limits, Options
    from imagist.build.trace import Trace
    from imagist.declaration.include import LoadedDeclaration
    from imagist.net.conditional import CachedGet
    from imagist.registry.client import Registries
    from imagist.store.store import Store

_UNBOUNDED: Final = 1 << 62
_MAX_FILE: Final = 64 << 20
"""Bytes of the largest declaration or lock."""


def open_context(
    values: argparse.Namespace, trace: Trace | None = None, store: Store | None = None
) -> Context:
    """Everything a job needs of the world; what it reads is noted in the trace."""
    from imagist.build.context import Context
    from imagist.build.trace import Trace, today
    from imagist.build.watch import WatchedReader, WatchedReport

    trace = trace or Trace()
    store = store or open_store(values)
    cached = open_cached(values, store)
    reader = WatchedReader(cached, trace)
    report = WatchedReport(Messages(values), trace)
    jobs = values.jobs or os.cpu_count() or 1

    def registries() -> Registries:
        from imagist.cli.registries import open_registries

        return open_registries(values)

    return Context(store, reader, report, today(), jobs, trace, registries=registries)


def open_cached(values: argparse.Namespace, store: Store) -> CachedGet:
    """The network, with the store as its memory."""
    from imagist.net.conditional import CachedGet
    from imagist.net.environment import read_environment
    from imagist.net.transport import HttpTransport

    bound = _bound(values.max_http_response_size, 8 << 30)
    transport = HttpTransport(read_environment(), limit=bound)
    return CachedGet(transport, store, offline=values.offline)


def read_options(values: argparse.Namespace, trace: Trace | None = None) -> Options:
    """The options that the flags and the environment state.

    Raises:
        RequestError: a value makes no sense.
        InputError: the lock cannot be read.
    """
    from imagist.build.context import Options
    from imagist.build.lockfile import parse_lock
    from imagist.build.trace import Trace
    from imagist.build.watch import watch_file

    read = watch_file(read_file, trace or Trace())
    follow_lock(values, trace)
    lock = parse_lock(read(values.lock), values.lock) if values.lock else None
    return Options(
        platforms=read_platforms(values.platform),
        keyring=tuple(values.keyring_append),
        build_repositories=tuple(values.build_repository_append),
        repositories=tuple(values.repository_append),
        packages=tuple(values.package_append),
        lock=lock,
        lock_name=values.lock,
        ignore_signatures=values.ignore_signatures,
        source_date_epoch=read_epoch(os.environ),
        limits=_limits(values),
    )


def load_thing(values: argparse.Namespace, trace: Trace | None = None) -> LoadedDeclaration:
    """The declaration that the command line names; of a project, that of its base.

    Options are to be read afterwards: what a project adds to its base is put among them.

    Raises:
        RequestError: something in it is wrong; or it is a project whose base is an image.
        NotFound: there is no such file.
    """
    from imagist.build.trace import Trace
    from imagist.build.watch import watch_file
    from imagist.cli.things import is_project
    from imagist.declaration.include import load_declaration

    if is_project(values.thing):
        from imagist.cli.project import load_base

        return load_base(values)
    read = watch_file(read_file, trace or Trace())
    follow_lock(values, trace)
    return load_declaration(read, values.thing, values.include_paths)


def follow_lock(values: argparse.Namespace, trace: Trace | None = None) -> None:
    """Where a lock is named as the thing, take the declaration it was made from, and the lock.

    Raises:
        RequestError: there is a --lock besides; or the lock is too old.
        InputError: it is no lock.
        NotFound: there is no such file.
    """
    from imagist.build.lockfile import SUFFIX, parse_lock
    from imagist.build.trace import Trace
    from imagist.build.watch import watch_file

    if not values.thing.endswith(SUFFIX):
        return
    if values.lock:
        raise RequestError(
            f"{values.thing} is a lock, and --lock names another one",
            help="name the declaration and --lock, or the lock alone",
        )
    trace = trace or Trace()
    lock = parse_lock(watch_file(read_file, trace)(values.thing), values.thing)
    assert lock.config is not None  # noqa: S101 - `parse_lock` refuses such locks
    declared = lock.config.name
    beside = posixpath.join(posixpath.dirname(values.thing), declared)
    if beside != declared and not Path(beside).is_file():
        trace.note_absent(beside)
        beside = declared  # locks of apko name it from the folder that apko ran in
    values.lock, values.thing = values.thing, beside


def read_file(path: str) -> bytes:
    """A local file.

    Raises:
        NotFound: there is none.
        InputError: it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no file {path}") from None
    except IsADirectoryError:
        raise RequestError(
            f"{path} is a folder", help="name a declaration: the image's YAML file"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_FILE:
        raise RequestError(f"{path} has more than {_MAX_FILE} bytes; is it a declaration or lock?")
    return data


def read_platforms(names: list[str]) -> tuple[Platform, ...]:
    """The platforms a --platform flag names; none where all that are declared are meant."""
    found: list[Platform] = []
    for name in names:
        if name == "all":
            found += [parse_platform(each) for each in ALL_ARCHITECTURES]
        elif name == "host":
            found.append(host_platform())
        else:
            found.append(parse_platform(name))
    return tuple(dict.fromkeys(found))


def _limits(values: argparse.Namespace) -> Limits:
    from imagist.build.context import Limits
    from imagist.packages.apk.archive import PackageLimits
    from imagist.packages.apk.index import MAX_INDEX
    from imagist.rootfs import tarread

    usual = PackageLimits()
    tar = tarread.Limits(total=_bound(values.max_apk_data_size, usual.tar.total))
    packages = replace(
        usual,
        file=_bound(values.max_http_response_size, usual.file),
        segment_content=_bound(values.max_apk_control_size, usual.segment_content),
        tar=tar,
    )
    return Limits(_bound(values.max_apkindex_decompressed_size, MAX_INDEX), packages)


def _bound(value: int | None, usual: int) -> int:
    """Apko's way to write a bound: -1 is none, 0 or absent the usual one."""
    if value == -1:
        return _UNBOUNDED
    return value or usual
