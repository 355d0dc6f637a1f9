"""Whether what a container runs is in its image, told before anybody starts it.

What is nowhere is refused. Where something else may bring it, a volume or a `.pth` file of an
installed package, that is a warning, and so is what no container runs of itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import Problem, RequestError
from imagist.inspection.python import view_base
from imagist.lastmile.needs import Need, find_needs
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.manifest import RunConfig
from imagist.oci.platform import Platform
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.venv import write_skeleton
from imagist.rootfs.entry import Entry
from imagist.store.memo import Memo, memo_key

if TYPE_CHECKING:
    from imagist.lastmile.wheels import WheelLayer
    from imagist.rootfs.tree import Tree

STEP: Final = "program"
FORMAT: Final = 2
"""Raise it whenever something else counts as found."""


class Above(msgspec.Struct, frozen=True):
    """What an image has above its base."""

    own: Sequence[Entry] = ()
    """The project's files, and its program."""
    wheel_layers: Sequence[WheelLayer] = ()
    """The project's last."""
    target: Target | None = None
    """The Python of the environment, if there is one."""

    def entries(self) -> Iterable[Entry]:
        """All of it, as far as it matters what is where."""
        yield from self._skeleton()
        for layer in self.wheel_layers:
            yield from (Entry(file.path) for wheel in layer.wheels for file in wheel.files)
        yield from self.own

    def files(self) -> Iterable[set[str]]:
        """The paths of its files, part by part; first those among which a program is likely."""
        yield {each.path for each in (*self.own, *self._skeleton()) if not each.is_directory}
        for layer in reversed(self.wheel_layers):
            yield {file.path for wheel in layer.wheels for file in wheel.files}

    def _skeleton(self) -> Sequence[Entry]:
        return write_skeleton(self.target) if self.target is not None else ()


def check_program(
    loaded: LoadedProject,
    image: Image,
    platform: Platform,
    above: Above,
    memo: Memo,
    *,
    jobs: int = 1,
) -> list[str]:
    """See that what a container runs is there.

    Args:
        loaded: the project.
        image: its base.
        platform: of both.
        above: what the project adds.
        memo: remembers what a base has.
        jobs: layers of the base that are read at a time.

    Returns:
        What is said of that which may be missing.

    Raises:
        RequestError: something is missing for certain.
        InputError: the base is damaged.
    """
    run = derive.config(image).config or RunConfig()
    absent = list(find_needs(loaded, run, above.target))
    for paths in above.files():
        if not absent:
            return []
        absent = [need for need in absent if not _is_met(need, paths)]
    absent = [need for need in absent if not _has(need, image, platform, memo, jobs)]
    if not absent:
        return []
    from imagist.rootfs.tree import Node  # noqa: PLC0415 - most need no look at the base

    whole = view_base(image, "the base", platform, jobs=jobs).tree.copy()
    for entry in above.entries():  # symlinks of one may lead to files of the other
        whole.put(Node(entry))
    absent = [need for need in absent if not _finds(need, whole)]
    volumes = [*loaded.project.volumes, *(run.volumes or ())]
    brings_modules = above.target is not None and any(
        posixpath.dirname(path) == above.target.site_packages[1:] and path.endswith(".pth")
        for paths in above.files()
        for path in paths
    )
    problems: list[Problem] = []
    warnings: list[str] = []
    for need in absent:
        is_doubtful = (need.is_module and brings_modules) or _is_below(need, volumes)
        if need.is_run and not is_doubtful:
            problems.append(Problem(f"{platform}: {need.missing}", need.where(), need.help))
        else:
            warnings.append(f"{platform}: {need.missing}")
    if problems:
        raise RequestError(problems)
    return warnings


def has_file(path: str, image: Image, platform: Platform, memo: Memo, *, jobs: int = 1) -> bool:
    """Whether an image has a file; remembered.

    Raises:
        InputError: the image is damaged.
    """
    need = Need("", "", lambda: None, (path.strip("/"),))
    return _has(need, image, platform, memo, jobs)


def _has(need: Need, image: Image, platform: Platform, memo: Memo, jobs: int) -> bool:
    """Whether an image alone has what is needed; remembered."""
    key = memo_key(FORMAT, derive.digest(image), need.paths, need.beginnings)
    known = memo.get(STEP, key)
    if known is None:
        tree = view_base(image, "the base", platform, jobs=jobs).tree
        known = b"1" if _finds(need, tree) else b"0"
        memo.put(STEP, key, known)
    return known == b"1"


def _is_met(need: Need, paths: Collection[str]) -> bool:
    if any(path in paths for path in need.paths):
        return True
    return any(path.startswith(need.beginnings) for path in paths)


def _finds(need: Need, tree: Tree) -> bool:
    """Whether a process would find something, following symlinks."""
    found = map(tree.find, need.paths)
    if any(node is not None and not node.entry.is_directory for node in found):
        return True
    parts = map(posixpath.split, need.beginnings)
    real = {f"{tree.resolve(folder, follow_last=True)}/{name}" for folder, name in parts}
    starts = tuple(path.lstrip("/") for path in real)
    return any(node.entry.path.startswith(starts) for node in tree.nodes())


def _is_below(need: Need, folders: Iterable[str]) -> bool:
    """Whether what is needed may be in one of some folders that a runtime keeps elsewhere."""
    below = tuple(f"{folder.strip('/')}/" for folder in folders)
    return any(path.startswith(below) for path in (*need.paths, *need.beginnings))
