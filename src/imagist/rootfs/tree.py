"""The merged file tree of an image: every path once, with its owner and where its bytes are.

All writers (layers, package databases, checks) read this one model. A tree knows no package
format: who may overwrite whom is a function that the caller passes to `Tree.add`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from imagist.errors import InputError
from imagist.rootfs.entry import Entry, order, parent

MAX_SYMLINKS = 40
"""Symlinks followed on the way to one path, as Linux does."""


class Node(msgspec.Struct, frozen=True, gc=False):
    """An entry in its place.

    `owner` names the package the entry belongs to, `""` the image itself; `blob` is the digest of
    the compressed tar that `entry.offset` points into, `""` where `entry.data` is the content.
    """

    entry: Entry
    owner: str = ""
    blob: str = ""


Arbiter = Callable[[Node, Node], Node]
"""Given the node in place and the one arriving at the same path, return the one that stays.

Called only where they differ in kind or content; it raises where neither may replace the other.
"""


def first_come(old: Node, new: Node) -> Node:
    """Refuse every overwriting: the arbiter for trees without rules of their own."""
    raise InputError(
        f"/{old.entry.path} belongs both to {old.owner or 'the image'} and to "
        f"{new.owner or 'the image'}, with different content"
    )


class Tree:
    """Paths to nodes. Iteration gives folders before what lies in them, names in byte order."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._symlinks: set[str] = set()
        self._plain: set[str] = {""}
        """Folders that are there, and that no symlink leads to; some may be missing here."""

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, path: str) -> bool:
        return path in self._nodes

    def __iter__(self) -> Iterator[Node]:
        return iter([self._nodes[path] for path in sorted(self._nodes, key=order)])

    def nodes(self) -> Iterable[Node]:
        """Every node in no order, which is cheaper than iterating."""
        return self._nodes.values()

    def get(self, path: str) -> Node | None:
        """The node at exactly this path; symlinks are not followed."""
        return self._nodes.get(path)

    def find(self, path: str) -> Node | None:
        """The node a process would reach by this path, following every symlink."""
        return self._nodes.get(self.resolve(path, follow_last=True))

    def find_file(self, path: str) -> Node | None:
        """The regular file a process would read by this path, hardlinks and symlinks followed."""
        node = self.find(path)
        for _ in range(len(self)):
            if node is None or node.entry.kind != "hardlink":
                break
            node = self.get(node.entry.link)
        return node if node is not None and node.entry.kind == "file" else None

    def resolve(self, path: str, *, follow_last: bool = False) -> str:
        """The path without symlinks in its folders (and in its last part, with `follow_last`).

        `..` never leaves the root. The result need not exist.

        Raises:
            InputError: more than 40 symlinks had to be followed.
        """
        path = path.strip("/")
        if not follow_last and path.rpartition("/")[0] in self._plain and _is_plain(path):
            return path
        # Most paths lead nowhere else, and every entry of every package comes through here.
        if not self._meets_symlink(path, follow_last=follow_last):
            return path
        done: list[str] = []
        todo = path.split("/")[::-1]
        followed = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if done:
                    done.pop()
                continue
            here = "/".join([*done, part])
            if here in self._symlinks and (todo or follow_last):
                followed += 1
                if followed > MAX_SYMLINKS:
                    raise InputError(f"/{path} follows more than {MAX_SYMLINKS} symlinks")
                target = self._nodes[here].entry.link
                if target.startswith("/"):
                    done = []
                todo.extend(target.split("/")[::-1])
                continue
            done.append(part)
        return "/".join(done)

    def _meets_symlink(self, path: str, *, follow_last: bool) -> bool:
        """Whether a symlink may be met on the way to a path; always, if it has `.` or `..`."""
        if "/." in path or "//" in path or path[:1] == ".":
            return True
        symlinks = self._symlinks
        if not symlinks:
            return False
        end = path.find("/")
        while end > 0:
            if path[:end] in symlinks:
                return True
            end = path.find("/", end + 1)
        return follow_last and path in symlinks

    def put(self, node: Node) -> None:
        """Set a node, replacing whatever is at its path; missing parents are not made."""
        path = node.entry.path
        self._nodes[path] = node
        if path in self._plain and not node.entry.is_directory:
            self._plain = {""}  # and what lies below it is not plain any more
        if node.entry.kind == "symlink":
            self._symlinks.add(path)
        else:
            self._symlinks.discard(path)

    def add_new(self, node: Node) -> bool:
        """Put a node into a plain folder, where nothing is; False where `add` must look closer.

        Of packages almost every entry is such a one, and there are tens of thousands.
        """
        entry = node.entry
        path = entry.path
        if path in self._nodes or path.rpartition("/")[0] not in self._plain:
            return False
        if not _is_plain(path):
            return False
        self._nodes[path] = node
        if entry.kind == "directory":
            self._plain.add(path)
        elif entry.kind == "symlink":
            self._symlinks.add(path)
        return True

    def add(self, node: Node, arbiter: Arbiter = first_come) -> str:
        """Merge a node in and return the path it landed at (symlinked folders are followed).

        Two folders merge: the first keeps its mode and owner, the last gives its mtime. A folder
        over a symlink to a folder is that folder (merged /usr). Equal content is no conflict.

        Raises:
            InputError: the arbiter refused, or a parent of the path is not a folder.
        """
        entry = node.entry
        path = self.resolve(entry.path) if self._symlinks else entry.path
        old = self._nodes.get(path)
        if entry.is_directory and old is not None and old.entry.kind == "symlink":
            path = self.resolve(path, follow_last=True)
            old = self._nodes.get(path)
        if path != entry.path:
            node = msgspec.structs.replace(node, entry=msgspec.structs.replace(entry, path=path))
            entry = node.entry
        if old is None:
            self._check_parent(node)
            self.put(node)
        elif entry.is_directory and old.entry.is_directory:
            if parent(path) in self._plain:
                self._plain.add(path)
            if old.entry.mtime != entry.mtime:
                dated = msgspec.structs.replace(old.entry, mtime=entry.mtime)
                self.put(msgspec.structs.replace(old, entry=dated))
        elif not _same(old.entry, entry):
            stays = arbiter(old, node)
            if stays is not old:
                self.put(stays)
        return path

    def remove(self, path: str) -> None:
        """Remove a path and everything below it; absent paths are no error."""
        node = self._nodes.get(path)
        if node is not None and not node.entry.is_directory:
            del self._nodes[path]
            self._symlinks.discard(path)
            return
        self._plain = {""}
        below = path + "/"
        for name in [p for p in self._nodes if p == path or p.startswith(below)]:
            del self._nodes[name]
            self._symlinks.discard(name)

    def make_parents(self, path: str, *, mtime: int = 0, owner: str = "") -> None:
        """Create the missing folders above a path, 0755 and root's."""
        missing = []
        folder = parent(path)
        while folder and folder not in self._nodes:
            missing.append(folder)
            folder = parent(folder)
        for folder in reversed(missing):
            self.put(Node(Entry(folder, "directory", 0o755, mtime=mtime), owner))

    def below(self, path: str) -> Iterable[Node]:
        """Every node strictly below a folder, in order."""
        prefix = path + "/" if path else ""
        names = [p for p in self._nodes if p.startswith(prefix) and p != path]
        return [self._nodes[name] for name in sorted(names, key=order)]

    def symlinks(self) -> Iterable[Node]:
        """Every symlink, in no order; much cheaper than going through the whole tree."""
        return [self._nodes[path] for path in self._symlinks]

    def copy(self) -> Tree:
        """An independent tree with the same nodes."""
        other = Tree()
        other._nodes = dict(self._nodes)
        other._symlinks = set(self._symlinks)
        other._plain = set(self._plain)
        return other

    def _check_parent(self, node: Node) -> None:
        folder = parent(node.entry.path)
        above = self._nodes.get(folder)
        if above is not None and not above.entry.is_directory:
            raise InputError(
                f"/{node.entry.path} of {node.owner or 'the image'} lies in /{folder}, "
                f"which is a {above.entry.kind} of {above.owner or 'the image'}, not a folder"
            )


def _is_plain(path: str) -> bool:
    """Whether a path has no `.`, `..` or empty part, which `resolve` would have to follow."""
    return "/." not in path and "//" not in path and path[:1] != "."


def _same(old: Entry, new: Entry) -> bool:
    """Whether two entries that are not folders have the same kind and provably equal content."""
    if old.kind != new.kind:
        return False
    if old.kind in {"symlink", "hardlink"}:
        return old.link == new.link
    if old.kind == "file":
        if old.size != new.size:
            return False
        if old.sha1 and new.sha1:
            return old.sha1 == new.sha1
        return old.offset < 0 and new.offset < 0 and old.data == new.data
    return old.device == new.device
