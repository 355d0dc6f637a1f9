"""`imagist serve`: a registry over the store, another folder, or an OCI layout."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from imagist.cli.answer import print_json
from imagist.cli.environment import store_folder
from imagist.cli.messages import Messages
from imagist.errors import InputError, RequestError, advise_part
from imagist.store.blobs import Blobs, storage_error

if TYPE_CHECKING:
    from imagist.server.registry import Policy
    from imagist.server.run import Address, Certificate
    from imagist.server.sources import Sources
    from imagist.store.repositories import Repositories

_NEEDED: Final = ("granian", "bcrypt")
_TIDY_EVERY: Final = 3600.0
"""Seconds between two looks for uploads that were given up."""
_STDERR: Final = 2
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def run(values: argparse.Namespace) -> None:
    """Serve until a signal asks to stop."""
    _require()
    from imagist.server.accesslog import AccessLog
    from imagist.server.app import Application
    from imagist.server.metrics import Metrics
    from imagist.server.registry import Registry
    from imagist.server.run import parse_address, serve

    address = parse_address(values.listen)
    certificate = _read_certificate(values)
    policy = _read_policy(values)
    _warn(values, address)
    metrics = Metrics()
    registry = Registry(_open_sources(values), policy, metrics)
    log = AccessLog(_open_log(values))

    def tell(found: Address) -> None:
        scheme = "https" if certificate else "http"
        if values.json:
            print_json({"address": found.text, "url": f"{scheme}://{found.text}"})
        else:
            sys.stdout.write(f"{found.text}\n")
        sys.stdout.flush()

    try:
        serve(Application(registry, metrics, log), address, certificate, tell)
    finally:
        log.close()


def _require() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"`imagist serve` needs {' and '.join(missing)}, which is not installed",
            help=advise_part("serve"),
        )


def _read_certificate(values: argparse.Namespace) -> Certificate | None:
    """The certificate to speak https with, if there is one."""
    from imagist.server.run import Certificate

    if not (values.tls_cert or values.tls_key):
        return None
    if not (values.tls_cert and values.tls_key):
        raise RequestError("--tls-cert and --tls-key are needed together")
    return Certificate(Path(values.tls_cert), Path(values.tls_key))


def _read_policy(values: argparse.Namespace) -> Policy:
    """What the flags allow."""
    from imagist.server.access import Access
    from imagist.server.registry import Policy

    if values.anonymous_pull and not values.htpasswd:
        raise RequestError(
            "--anonymous-pull needs --htpasswd", help="without users, everybody may do everything"
        )
    users = Path(values.htpasswd) if values.htpasswd else None
    warn = Messages(values).warn
    access = Access(users, anonymous_pull=values.anonymous_pull, warn=warn)
    quota = None if values.quota == -1 else values.quota
    return Policy(access, values.read_only, values.sparse, quota)


def _warn(values: argparse.Namespace, address: Address) -> None:
    """Say what others may do with a registry that they can reach."""
    if address.host in _LOOPBACK:
        return
    messages = Messages(values)
    if not (values.htpasswd or values.read_only):
        messages.warn(f"everybody who reaches {address.text} may push and delete (see --htpasswd)")
    if values.htpasswd and not values.tls_cert:
        messages.warn("passwords travel unencrypted: give --tls-cert and --tls-key")


def _open_sources(values: argparse.Namespace) -> Sources:
    """What is served: the folder that is named, or the store."""
    from imagist.server.layout import LayoutSources
    from imagist.store.repositories import Repositories

    folder = Path(values.folder) if values.folder else None
    if folder and (folder / "oci-layout").is_file():
        return LayoutSources(folder)
    root = folder or (Path(values.cache) if values.cache else store_folder(os.environ))
    if folder and folder.exists() and not _is_store(folder):
        raise RequestError(
            f"{folder} is neither a store nor an OCI layout",
            help="name a new or empty folder, one that was served before, or an OCI layout",
        )
    blobs = Blobs(root.absolute())
    repositories = Repositories(blobs)
    if values.read_only and blobs.folder.is_dir():
        return repositories  # it may lie where nothing can be written
    try:
        blobs.make_folders()
        for each in (repositories.folder, blobs.root / "images"):
            each.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(error, root) from error
    threading.Thread(target=_tidy, args=(repositories,), daemon=True).start()
    return repositories


def _is_store(folder: Path) -> bool:
    return folder.is_dir() and (
        not any(folder.iterdir()) or (folder / "blobs" / "sha256").is_dir()
    )


def _tidy(repositories: Repositories) -> None:
    """Remove uploads that were given up, now and then."""
    from imagist.store.uploads import remove_abandoned

    while True:
        with contextlib.suppress(OSError):
            remove_abandoned(repositories)
        time.sleep(_TIDY_EVERY)


def _open_log(values: argparse.Namespace) -> BinaryIO | None:
    """Where the access log goes: a file, stderr, or nowhere with --quiet."""
    if values.access_log:
        path = Path(values.access_log)
        try:
            return path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
    if values.quiet:
        return None
    return open(_STDERR, "wb", buffering=0, closefd=False)
