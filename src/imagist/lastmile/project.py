"""The project itself as a wheel, built by its own build backend (PEP 517) on this machine.

The backend sees a copy of the project without what is ignored, and the time that is wanted; what
it made is remembered by the files it saw, so an unchanged project is not built again. It runs
here, so what it makes must be for any machine, or be said to fit the target.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from imagist.editing.additions import Item
from imagist.errors import InputError
from imagist.lastmile.backend import Options, find_backend, read_document, run_backend
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.files import FileRule, find_wanted
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.wheels import Wheel
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.install import Origin
from imagist.packages.wheel.target import Target, compatible_tags
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "project-wheel"
FORMAT: Final = 1


class _Built(msgspec.Struct, frozen=True, array_like=True):
    filename: str
    digest: str
    size: int


def recall_wheel(store: Store, step: str, key: str) -> Wheel | None:
    """The wheel that a step built before."""
    value = store.memo.get(step, key)
    if value is None:
        return None
    built = msgspec.msgpack.decode(value, type=_Built)
    return Wheel(built.filename, built.digest, built.size)


def remember_wheel(store: Store, step: str, key: str, wheel: Wheel) -> Wheel:
    """Keep a wheel in mind for as long as it is in the store; not why it is installed."""
    built = _Built(wheel.filename, str(wheel.digest), wheel.size)
    store.memo.put(step, key, msgspec.msgpack.encode(built), blobs=[wheel.digest])
    return wheel


def build_project(
    folder: Path,
    store: Store,
    environments: BuildEnvironments,
    table: FileTable,
    options: Options | None = None,
) -> Wheel:
    """Build the wheel of a project, or remember it.

    Args:
        folder: where its `pyproject.toml` is.
        store: where the wheel goes.
        environments: where backends are installed.
        table: tells digests of files that did not change, without reading them; whoever made it
            keeps it.
        options: how it is built.

    Raises:
        NotFound: there is no project.
        InputError: the backend failed, or made what is no wheel.
        RequestError: what runs backends is not installed.
    """
    options = options or Options()
    document = read_document(folder)
    backend = find_backend(document, str(folder / "pyproject.toml"))
    items = find_wanted(FileRule(str(folder), "/"))
    environment = environments.find(backend.requirements, offline=options.offline)
    key = memo_key(
        FORMAT,
        [_describe(item, table) for item in items],
        environment.contents(),
        dict(options.settings),
        options.mtime,
    )
    in_place = _asks_history(document, folder)
    built = None if in_place else recall_wheel(store, STEP, key)
    if built is None:
        with tempfile.TemporaryDirectory(prefix="imagist-project-") as work:
            source = folder if in_place else _copy(items, Path(work, "source"))
            wheel = run_backend(backend, source, Path(work, "wheel"), environments, options)
            built = _keep(store, key, wheel)
    return built._replace(origin=Origin(requested=True))


def check_fits(wheel: Wheel, store: Store, target: Target) -> None:
    """See that a wheel that was built here may go to a target.

    Raises:
        InputError: it is for another Python or machine, or says that it is for any, though it has
            compiled files.
    """
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415 - takes its time

    _, _, _, tags = parse_wheel_filename(wheel.filename)
    if not tags & set(compatible_tags(target)):
        raise InputError(
            f"the project's own wheel, {wheel.filename}, does not fit {target}",
            help="build it for that platform elsewhere, and give the wheel",
        )
    if all(tag.platform == "any" for tag in tags):
        check_pure(wheel, store)


def check_pure(wheel: Wheel, store: Store) -> None:
    """See that a wheel that says it fits any machine has nothing compiled in it.

    Raises:
        InputError: it has.
        Untrusted: it is damaged.
    """
    with store.open_blob(wheel.digest) as stream:
        archive = WheelArchive(stream, wheel.filename)
        for name in archive.members:
            for _ in archive.pieces(name):
                pass
        if archive.objects:
            raise InputError(
                f"{wheel.filename} was built here, and is said to fit any machine, but "
                f"`{min(archive.objects)}` is compiled for one",
                help="let its build backend give it a platform tag",
            )


def _keep(store: Store, key: str, wheel: Path) -> Wheel:
    """Put what was built into the store, and remember it."""
    with store.writer() as blob:
        blob.write(wheel.read_bytes())
        size, digest = blob.size, blob.commit()
    return remember_wheel(store, STEP, key, Wheel(wheel.name, digest, size))


def _asks_history(document: Mapping[str, Any], folder: Path) -> bool:
    """Whether the version may come from the version control system, which a copy has not."""
    dynamic = document.get("project", {}).get("dynamic", [])
    return "version" in dynamic and (folder / ".git").exists()


def _describe(item: Item, table: FileTable) -> tuple[str, str, str, str, bool]:
    digest = table.digest(item) if item.kind == "file" else ""
    return item.path, item.kind, item.link, digest, item.is_executable


def _copy(items: Sequence[Item], place: Path) -> Path:
    """What the backend may see; folders come before what is in them."""
    place.mkdir()
    for item in items:
        end = place / item.path
        if item.kind == "directory":
            end.mkdir(exist_ok=True)
        elif item.kind == "symlink":
            end.symlink_to(item.link)
        else:
            end.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.source, end)
            end.chmod(0o755 if item.is_executable else 0o644)
    return place
