"""`imagist build --watch`: the same again whenever something that it may depend on is saved."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imagist.cli.closing import UNTIL_THE_END
from imagist.cli.messages import Messages
from imagist.cli.telling import tell_error
from imagist.cli.things import Making
from imagist.digest import sha256_stream
from imagist.errors import ImagistError, RequestError, advise_part
from imagist.oci import derive
from imagist.oci.image import Image, Index

_SETTLE: Final = 50
"""Milliseconds without a change after which a build begins: editors save in several steps."""

_PULSE: Final = 100
"""Milliseconds after which the watcher comes back without a change."""


def build_again(
    values: argparse.Namespace,
    open_work: Callable[[], Making],
    bring: Callable[[Making, Image | Index], None],
) -> None:
    """Build now and after every change, until a signal ends it; what fails waits for the next one.

    Args:
        values: of the command line.
        open_work: begins the work on what the command line names.
        bring: brings where it goes what is another image than before.

    Raises:
        RequestError: there is nothing to watch, or nothing to watch with.
    """
    last = ""
    news = _News()
    for _ in _changes(values, news):
        news.settled = False
        try:
            work = open_work()
            thing = work.recall() or work.build()
            digest = derive.digest(thing)
            news.settled = digest == last
            if digest != last:
                bring(work, thing)
                sys.stdout.flush()
                last = digest
        except ImagistError as error:
            tell_error(error, as_json=values.json, color=values.color)
        UNTIL_THE_END.close()  # connections do not outlast the pauses between saves


class _News:
    """Tells changes that matter: a build backend may write into the project what is there already.

    That is believed once a build gave the same image again, so that nothing in between is missed.
    """

    def __init__(self) -> None:
        self.settled = False
        self._known: dict[str, tuple[int, str]] = {}

    def are_in(self, changes: Iterable[tuple[object, str]]) -> bool:
        found = {path: _look(path) for _, path in changes}
        same = all(self._known.get(path) == state for path, state in found.items())
        self._known |= found
        return bool(found) and not (self.settled and same)


def _look(path: str) -> tuple[int, str]:
    """Mode and content of a file; nothing of what is gone."""
    try:
        mode = Path(path).lstat().st_mode
        if not stat.S_ISREG(mode):
            return mode, str(Path(path).readlink()) if stat.S_ISLNK(mode) else ""
        with Path(path).open("rb") as stream:
            return mode, str(sha256_stream(stream)[0])
    except OSError:
        return 0, ""


def _changes(values: argparse.Namespace, news: _News) -> Iterator[None]:
    """Now, and whenever files have changed and then were left alone for a moment."""
    place = Path(values.thing)
    folder = place if place.is_dir() else place.absolute().parent
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder} to watch", help="name what is there")
    try:
        from watchfiles import DefaultFilter, watch
    except ImportError:
        raise RequestError(
            "watching needs a part that is not installed",
            help=advise_part("watch"),
        ) from None
    outputs = [Path(values.output).absolute()] if values.output else []
    noted = DefaultFilter(ignore_paths=outputs)
    told = False
    while True:
        with _hold(folder) as watched:
            found = watch(
                folder,
                watch_filter=noted,
                debounce=_SETTLE,
                step=_SETTLE,
                rust_timeout=_PULSE,
                yield_on_timeout=True,
            )
            next(found)  # from here on nothing is missed, also of what is saved during a build
            yield
            if not told:
                Messages(values).stage(f"watching {folder}; Ctrl-C ends it")
                told = True
            for changes in found:
                if news.are_in(changes):
                    yield
                if _identity(folder) not in {watched, None}:
                    break  # it was made anew, and of the new one nobody tells anything


@contextmanager
def _hold(folder: Path) -> Iterator[tuple[int, int] | None]:
    """What a folder is, which no other can be while it is held open: not one that replaces it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _identity(descriptor)
    finally:
        os.close(descriptor)


def _identity(folder: Path | int) -> tuple[int, int] | None:
    """What stays the same for as long as a folder is the one that is watched; None: it is gone."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - a descriptor, too
    except OSError:
        return None
    return status.st_dev, status.st_ino
