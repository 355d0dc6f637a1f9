"""What commands that read a declaration share: store, network, options, and messages."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from pathlib import Path
from typing import Final

from imagist.build.context import Context, Limits, Options
from imagist.build.lockfile import parse_lock
from imagist.cli.environment import read_epoch
from imagist.cli.stores import open_store
from imagist.declaration.include import LoadedDeclaration, load_declaration
from imagist.errors import InputError, NotFound, RequestError
from imagist.net.conditional import CachedGet
from imagist.net.environment import read_environment
from imagist.net.transport import HttpTransport
from imagist.oci.platform import ALL_ARCHITECTURES, Platform, parse_platform
from imagist.packages.apk.archive import PackageLimits
from imagist.packages.apk.index import MAX_INDEX
from imagist.packages.apk.reading import Reader
from imagist.rootfs import tarread
from imagist.text.diagnostics import printable

_UNBOUNDED: Final = 1 << 62
_MAX_FILE: Final = 64 << 20
"""Bytes of the largest declaration or lock."""
_HOSTS: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6"}


class Messages:
    """Progress and warnings on stderr, one line each; `context.Report`."""

    def __init__(self, values: argparse.Namespace) -> None:
        """Say only what the flags allow."""
        terminal = sys.stderr.isatty()
        self._stages = not values.quiet and values.progress != "none"
        self._stages &= terminal or values.verbose or values.progress == "plain"
        self._warnings = not values.quiet
        self._said: set[str] = set()

    def stage(self, text: str) -> None:
        """A step has begun."""
        if self._stages:
            sys.stderr.write(f"{printable(text)}\n")

    def warn(self, text: str) -> None:
        """Something is odd, but not wrong; the same thing is said once."""
        if self._warnings and text not in self._said:
            self._said.add(text)
            sys.stderr.write(f"warning: {printable(text)}\n")


def open_context(values: argparse.Namespace) -> Context:
    """Everything a job needs of the world."""
    store = open_store(values)
    bound = _bound(values.max_http_response_size, 8 << 30)
    transport = HttpTransport(read_environment(), limit=bound)
    cached = CachedGet(transport, store, offline=values.offline)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    jobs = values.jobs or os.cpu_count() or 1
    return Context(store, Reader(transport, cached), Messages(values), today, jobs)


def read_options(values: argparse.Namespace) -> Options:
    """The options that the flags and the environment state.

    Raises:
        RequestError: a value makes no sense.
        InputError: the lock cannot be read.
    """
    lock = parse_lock(read_file(values.lock), values.lock) if values.lock else None
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


def load_thing(values: argparse.Namespace) -> LoadedDeclaration:
    """The declaration that the command line names.

    Raises:
        RequestError: something in it is wrong.
        NotFound: there is no such file.
    """
    return load_declaration(read_file, values.thing, values.include_paths)


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
            machine = os.uname().machine
            found.append(parse_platform(_HOSTS.get(machine, machine)))
        else:
            found.append(parse_platform(name))
    return tuple(dict.fromkeys(found))


def _limits(values: argparse.Namespace) -> Limits:
    usual = PackageLimits()
    tar = tarread.Limits(total=_bound(values.max_apk_data_size, usual.tar.total))
    packages = usual._replace(
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
