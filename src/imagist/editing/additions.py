"""What is added to an image: files and folders of this machine, and where in the image they go.

Of a file only its bytes and whether its owner may run it count, so that an image depends on no
umask, clock or account: modes become 0755 or 0644, owners root or who is asked for, times one
time. Symlinks stay symlinks; a file of several names becomes several. Attributes are not kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from imagist.errors import InputError, NotFound, Problem, RequestError
from imagist.rootfs.entry import order
from imagist.rootfs.whiteout import is_reserved


class Addition(msgspec.Struct, frozen=True):
    """Something to add: a path here, and a place in the image.

    A place that ends with a slash is the folder that a file goes into; `""`: none is stated.
    """

    source: str
    place: str = ""


class Item(msgspec.Struct, frozen=True):
    """A file, folder or symlink, and the path it gets in the image."""

    path: str
    """Relative to the image's root."""
    kind: Literal["file", "directory", "symlink"]
    source: str = ""
    """Where its content lies."""
    link: str = ""
    is_executable: bool = False
    state: tuple[int, ...] = ()
    """Device, inode, size and time of change of a file: what must stay so until it was read."""

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self.state[2] if self.state else 0


def parse_addition(text: str, folder: str = "") -> Addition:
    """Read `SOURCE` or `SOURCE:/PLACE`; `folder` is where goes what states no place.

    A path that is there as it is written is no pair, whatever colons it has.

    Raises:
        RequestError: the place is not a path from the image's root.
    """
    source, colon, place = text.rpartition(":")
    if not colon or not place.startswith("/") or os.path.lexists(text):
        return Addition(text, f"{folder.rstrip('/')}/" if folder else "")
    if not source:
        raise RequestError(f"`{text}` names nothing to add", help="write SOURCE:/PLACE")
    return Addition(source, place)


Keep = Callable[[str, bool], bool]
"""Whether a path below a source, which is a folder or not, is wanted; what lies in a folder that
is not wanted is never looked at."""
Enter = Callable[[str, Collection[str]], bool]
"""The same of a folder, once the names of what lies in it are known."""


def find_items(
    addition: Addition,
    keep: Keep = lambda _path, _is_folder: True,
    enter: Enter = lambda _path, _members: True,
) -> list[Item]:
    """What an addition adds: a file, or all that lies in a folder, in the order of paths.

    A file keeps its name where no other is stated. What is in a folder goes into its place, as
    far as `keep` and `enter` want it.

    Raises:
        NotFound: there is nothing.
        InputError: something cannot be read or carried; all of it is told.
        RequestError: the place leads out of the image.
    """
    source = addition.source
    try:
        status = os.stat(source)  # noqa: PTH116 - names that are not UTF-8
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NotFound(f"`{source}` cannot be added: {reason}") from error
    place = _inside(addition.place)
    if stat.S_ISDIR(status.st_mode):
        items = list(_walk(source, place, keep, enter))
    else:
        name = Path(os.path.abspath(source)).name  # noqa: PTH100 - without following it
        if not place or addition.place.endswith("/"):
            place = f"{place}/{name}" if place else name
        items = [_read(source, place, status)]
    problems = [item for item in items if isinstance(item, Problem)]
    if problems:
        raise InputError(problems)
    return sorted((i for i in items if isinstance(i, Item)), key=lambda item: order(item.path))


def read_item(item: Item, step: int) -> Iterator[bytes]:
    """The content of a file in pieces of at most `step` bytes.

    Raises:
        InputError: it cannot be read, or has changed since it was found.
    """
    try:
        descriptor = os.open(item.source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:  # without a stream, which takes longer to make than most files to read
            before = _state(os.fstat(descriptor))
            left = item.size
            while left and (piece := os.read(descriptor, min(left, step))):
                left -= len(piece)
                yield piece
            if left or not before == item.state == _state(os.fstat(descriptor)):
                raise InputError(
                    f"`{item.source}` changed while it was read",
                    help="wait until whoever writes it has done, then try again",
                )
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"`{item.source}` cannot be read: {error.strerror}") from error


def _inside(place: str) -> str:
    """A path from the image's root as entries have it."""
    parts = [part for part in place.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in place:
        raise RequestError(f"`{place}` is not a path in an image")
    return "/".join(parts)


def _walk(folder: str, place: str, keep: Keep, enter: Enter) -> Iterator[Item | Problem]:
    if place:
        yield Item(place, "directory")
    waiting = [(folder, place, "")]
    while waiting:
        source, path, below = waiting.pop()
        try:
            with os.scandir(source) as found:
                members = list(found)
        except OSError as error:
            yield Problem(f"`{source}` cannot be read: {error.strerror}")
            continue
        if below:
            if not enter(below, [member.name for member in members]):
                continue
            yield (item := _checked(Item(path, "directory", source)))
            if isinstance(item, Problem):
                continue
        for member in members:
            name = f"{below}/{member.name}" if below else member.name
            if not keep(name, member.is_dir(follow_symlinks=False)):
                continue
            inside = f"{path}/{member.name}" if path else member.name
            if member.is_dir(follow_symlinks=False):
                waiting.append((member.path, inside, name))
            else:
                yield _read_member(member, inside)


def _read_member(member: os.DirEntry[str], path: str) -> Item | Problem:
    try:
        if member.is_symlink():
            link = os.readlink(member.path)  # noqa: PTH115 - as it is written
            return _checked(Item(path, "symlink", member.path, link))
        return _read(member.path, path, member.stat(follow_symlinks=False))
    except OSError as error:
        return Problem(f"`{member.path}` cannot be read: {error.strerror}")


def _read(source: str, path: str, status: os.stat_result) -> Item | Problem:
    if not stat.S_ISREG(status.st_mode):
        return Problem(
            f"`{source}` is neither a file, a folder nor a symlink",
            help="images get devices, sockets and pipes from the runtime",
        )
    if not os.access(source, os.R_OK):
        return Problem(f"`{source}` cannot be read: permission denied")
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    return _checked(Item(path, "file", source, "", is_executable, _state(status)))


def _checked(item: Item) -> Item | Problem:
    if is_reserved(item.path):
        return Problem(
            f"`{item.source}` would delete a file of the image: a layer's names that begin with "
            "`.wh.` are whiteouts",
            help="rename it, or leave it out; a layer that is to delete is added as a tar",
        )
    return item


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
