"""A file tree as an uncompressed EROFS image, which Linux mounts as it is.

Where everything goes follows from the entries alone, so the image is written from its first byte
to its last while contents stream through: superblock, inodes, directories, files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from imagist.errors import InputError
from imagist.rootfs.batch import Batch, Content
from imagist.rootfs.entry import MODE_BITS, Entry, order, parent
from imagist.rootfs.erofs_format import (
    BLOCK,
    FLAT_INLINE,
    FLAT_PLAIN,
    MAX_NAME,
    SLOT,
    Inode,
    Name,
    directory_size,
    format_directory,
    format_first_block,
    format_inode,
    format_xattrs,
)

_ROOT: Final = Entry("", "directory", 0o755)


class _Place(msgspec.Struct):
    """An inode and where it, and what belongs to it, lies in the image."""

    entry: Entry
    number: int
    size: int
    links: int = 1
    compact: bool = True
    xattrs: bytes = b""
    tail: int = 0
    """Bytes of data that follow the inode."""
    offset: int = 0
    """Bytes from the start of the image to the inode."""
    block: int = 0
    """The first block of the data that does not follow the inode."""

    @property
    def nid(self) -> int:
        return self.offset // SLOT

    @property
    def head(self) -> int:
        """Bytes of the inode with its attributes."""
        return (32 if self.compact else 64) + len(self.xattrs)


def write_erofs(
    entries: Sequence[Entry],
    items: Iterable[tuple[Entry, Content]],
    write: Callable[[bytes], object],
) -> None:
    """Write the image of a whole tree; the same entries and contents give the same bytes.

    `entries` is everything there is, and `items` the regular files among them with their contents
    in the same order (entries of other kinds are passed over, so one stream feeds a tar or this).
    Folders that are missing are made, 0755 and root's. Memory grows with the entries only.

    Raises:
        InputError: a path occurs twice or lies in a file, a hardlink leads to no file, a name or
            attribute does not fit, or `items` are not the files that were announced.
    """
    image = _Image(entries)
    write(image.format_metadata())
    batch = Batch(write)
    expected = [place for place in image.files if place.size]
    number = 0
    for entry, content in items:
        if entry.kind != "file":
            continue
        batch.add_content(entry, content)
        if not entry.size:
            continue
        if number == len(expected) or expected[number].entry.path != entry.path:
            raise InputError(f"the content of /{entry.path} was not announced, or not for here")
        number += 1
        batch.add(bytes(-entry.size % BLOCK))
    if number != len(expected):
        raise InputError(f"the content of /{expected[number].entry.path} is missing")
    batch.flush()


class _Image:
    """The plan of an image: every inode with its place."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        # 1. One inode for everything but hardlinks, in the order of the tree.
        self._places = {
            entry.path: _Place(entry, number, entry.size if entry.kind == "file" else 0)
            for number, entry in enumerate(_complete(entries), 1)
        }
        self._names = _list_names(self._places, entries)
        # 2. Small inodes have no time of their own: the commonest is that of the image.
        times = Counter(place.entry.mtime for place in self._places.values())
        self._time = min(times, key=lambda time: (-times[time], time))
        # 3. Sizes, then places.
        for path, place in self._places.items():
            self._measure(path, place)
        self._place_inodes()
        self.files = [self._places[entry.path] for entry in entries if entry.kind == "file"]
        """The inodes of regular files in the order of the entries."""
        self._place_data()

    def format_metadata(self) -> bytes:
        """The image up to the first block of a regular file."""
        image = bytearray(self._data_start * BLOCK)
        image[:BLOCK] = format_first_block(
            root=self._places[""].nid,
            inodes=len(self._places),
            time=self._time,
            blocks=self._end,
        )
        for path, place in self._places.items():
            data = self._data_of(path, place)
            blocks = len(data) - place.tail
            inode = self._format_inode(place) + place.xattrs + data[blocks:]
            image[place.offset : place.offset + len(inode)] = inode
            if blocks:
                start = place.block * BLOCK
                image[start : start + blocks] = data[:blocks]
        return bytes(image)

    def _measure(self, path: str, place: _Place) -> None:
        entry = place.entry
        place.xattrs = format_xattrs(entry.xattrs, path)
        if entry.kind == "symlink":
            place.size = len(_encode(entry.link))
        elif entry.is_directory:
            names = self._names[path]
            place.size = directory_size(sorted([b".", b"..", *names]))
            place.links = 2 + sum(child.entry.is_directory for child in names.values())
        place.compact = self._inode_of(place).fits_compact(self._time)
        if entry.kind != "file":
            tail = place.size % BLOCK
            # Attributes may leave less of a block than nearly all of one needs.
            place.tail = tail if tail <= BLOCK - place.head % SLOT else 0

    def _place_inodes(self) -> None:
        offset = BLOCK
        for place in self._places.values():
            # Data that follows an inode must not cross from one block into the next.
            while place.tail and (offset + place.head) % BLOCK + place.tail > BLOCK:
                offset += SLOT
            place.offset = offset
            offset += -(-(place.head + place.tail) // SLOT) * SLOT
        self._block = -(-offset // BLOCK)

    def _place_data(self) -> None:
        block = self._block
        for place in self._places.values():
            blocks = -(-(place.size - place.tail) // BLOCK)
            if blocks and place.entry.kind != "file":
                place.block = block
                block += blocks
        self._data_start = block
        for place in self.files:
            place.block = block if place.size else 0
            block += -(-place.size // BLOCK)
        self._end = block
        if block >= 1 << 32:
            raise InputError("an EROFS image cannot have more than 16 TiB")

    def _data_of(self, path: str, place: _Place) -> bytes:
        """The data of a directory or a symlink."""
        if place.entry.kind == "symlink":
            return _encode(place.entry.link)
        if not place.entry.is_directory:
            return b""
        above = self._places[parent(path)]
        found = [Name(b".", place.nid, "directory"), Name(b"..", above.nid, "directory")]
        for name, child in self._names[path].items():
            found.append(Name(name, child.nid, child.entry.kind))
        return format_directory(sorted(found))

    def _inode_of(self, place: _Place) -> Inode:
        entry = place.entry
        return Inode(
            entry.kind,
            entry.mode & MODE_BITS,
            entry.uid,
            entry.gid,
            entry.mtime,
            place.size,
            place.links,
            place.number,
            entry.device,
        )

    def _format_inode(self, place: _Place) -> bytes:
        return format_inode(
            self._inode_of(place),
            layout=FLAT_INLINE if place.tail else FLAT_PLAIN,
            block=place.block,
            xattr_size=len(place.xattrs),
            compact=place.compact,
        )


def _complete(entries: Iterable[Entry]) -> list[Entry]:
    """Everything but hardlinks, each folder before what lies in it, with folders that miss."""
    found = {"": _ROOT}
    listed: set[str] = set()
    links: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        if entry.path in listed:
            raise InputError(f"/{entry.path} occurs twice")
        listed.add(entry.path)
        if entry.kind == "hardlink":
            links.add(entry.path)
        else:
            found[entry.path] = entry
        above = parent(entry.path)
        while above not in folders:
            folders.add(above)
            above = parent(above)
    for folder in folders:
        there = found.setdefault(folder, Entry(folder, "directory", 0o755))
        if not there.is_directory or folder in links:
            raise InputError(f"/{folder} is not a folder, but something lies in it")
    root = found.pop("")
    return [root, *(found[path] for path in sorted(found, key=order))]


def _list_names(
    places: dict[str, _Place], entries: Iterable[Entry]
) -> dict[str, dict[bytes, _Place]]:
    """What lies in each directory, with hardlinks as names of what they link to."""
    names: dict[str, dict[bytes, _Place]] = {
        path: {} for path, place in places.items() if place.entry.is_directory
    }
    links = {entry.path: entry.link for entry in entries if entry.kind == "hardlink"}
    for path in (*places, *links):
        if not path:
            continue
        place = places.get(path) or _follow(path, links, places)
        if path in links:
            place.links += 1
        folder = parent(path)
        name = _encode(path[len(folder) + 1 :] if folder else path)
        if len(name) > MAX_NAME:
            raise InputError(f"/{path} has a name of more than {MAX_NAME} bytes")
        names[folder][name] = place
    return names


def _follow(path: str, links: dict[str, str], places: dict[str, _Place]) -> _Place:
    """The inode that a hardlink, or a chain of them, leads to."""
    target = path
    for _ in range(len(links)):
        target = links.get(target, target)
        place = places.get(target)
        if place is not None and not place.entry.is_directory:
            return place
    raise InputError(f"/{path} is a hardlink to /{links[path]}, which is no file of the image")


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
