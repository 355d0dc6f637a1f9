"""Whether the program that a container runs is in its image, told before anybody starts it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from imagist.declaration.projectfile import LoadedProject
from imagist.inspection.python import view_base
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.platform import Platform
from imagist.store.memo import Memo, memo_key

if TYPE_CHECKING:
    from imagist.packages.wheel.facts import WheelFacts

STEP: Final = "program"


def misses_program(
    loaded: LoadedProject,
    wheels: Iterable[WheelFacts],
    image: Image,
    platform: Platform,
    memo: Memo,
    *,
    jobs: int = 1,
) -> str:
    """What is said of a program that is neither in the environment nor in the base; or nothing.

    Where the project brings files of its own, it may be one of them, and nothing is said.

    Raises:
        InputError: the base is damaged.
    """
    program = loaded.command()[0][0]
    project = loaded.project
    if project.files or project.binary or loaded.mode == "source":
        return ""
    folder = f"{project.prefix}/bin/"
    name = program.removeprefix(folder)
    if "/" not in name:
        path = f"{folder}{name}"[1:]
        if name.startswith("python") or any(f.path == path for w in wheels for f in w.files):
            return ""
    if is_in_base(program, image, platform, memo, jobs=jobs):
        return ""
    return (
        f"{platform}: a container would run `{program}`, which is neither in the environment nor "
        "in the base; require what brings it, and lock again"
    )


def is_in_base(
    program: str, image: Image, platform: Platform, memo: Memo, *, jobs: int = 1
) -> bool:
    """Whether an image has a program, at its path or in a folder of its PATH; remembered.

    Raises:
        InputError: the image is damaged.
    """
    key = memo_key(STEP, derive.digest(image), program)
    known = memo.get(STEP, key)
    if known is not None:
        return known == b"1"
    base = view_base(image, "the base", platform, jobs=jobs)
    path = base.environment.get("PATH", "/usr/bin:/bin")
    folders = [""] if "/" in program else path.split(":")
    found = any(base.tree.find(f"{folder}/{program}") is not None for folder in folders)
    memo.put(STEP, key, b"1" if found else b"0")
    return found
