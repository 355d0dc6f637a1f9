"""The project itself as a wheel, built by its own build backend (PEP 517) on this machine.

The backend sees a copy of the project without what is ignored, and the time that is wanted; what
it made is remembered by the files it saw, so an unchanged project is not built again, and where
only modules changed that it would carry over (`carried`), they are put into the wheel it made. It
runs here, so what it makes must be for any machine, or be said to fit the target.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import astuple, replace

from imagist.digest import CHUNK, check, sha256
from imagist.editing.additions import Item, read_item
from imagist.errors import InputError, Problem
from imagist.lastmile.backend import Backend, Options, find_backend, read_document
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.carried import find_modules, look_up, trace_members
from imagist.lastmile.files import FileRule, find_wanted
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.variables import find_programs, steering
from imagist.lastmile.wheels import Wheel
from imagist.packages.wheel import plain
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.choose import parse_wheel_name
from imagist.packages.wheel.install import Origin
from imagist.packages.wheel.plain import read_contents, write_plain
from imagist.packages.wheel.target import Target, compatible_tags
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "project-wheel"
OUTLINE: Final = "project-outline"
FORMATS: Final = (4, plain.FORMAT)
"""Of keys: whenever the same project would become another wheel, one is raised."""


class _Outline(msgspec.Struct, frozen=True, array_like=True):
    """What a backend made of a project, for as long as nothing changes but modules."""

    filename: str
    digest: str
    size: int
    members: dict[str, str]
    """Modules of the project that are in the wheel, to their paths there."""
    digests: dict[str, str]
    """Of all modules of the project, as they were; those that are not in the wheel, too."""

    def has_other(self, path: str, digest: str) -> bool:
        """Whether the wheel has another content for a file."""
        return path in self.members and self.digests[path] != digest


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
        InputError: the backend failed, or made what is no wheel, or has compiled files and is
            said to fit any machine; a symlink leads out of the project; a file changed.
        Untrusted: what it made is not what its RECORD says.
        RequestError: what runs backends is not installed.
    """
    options = options or Options()
    document = read_document(folder)
    backend = find_backend(document, str(folder / "pyproject.toml"))
    items = find_wanted(
        FileRule(str(folder), "/", patterns=options.ignore, ignore=not options.whole)
    )
    _check_links(items)
    digests = {item.path: str(table.digest(item)) for item in items if item.kind == "file"}
    environment = environments.find(backend.requirements, offline=options.offline)
    rest = (
        *astuple(backend),
        environment.contents(),
        dict(options.settings),
        options.mtime,
        steering(_read(item) for item in find_programs(backend, items)),
    )
    key = memo_key(*FORMATS, [_describe(item, digests) for item in items], *rest)
    in_place = _asks_history(document, backend, folder)
    built = None if in_place else recall_wheel(store, STEP, key)
    if built is None:
        modules = find_modules(backend, document, items)
        others = {path: digest for path, digest in digests.items() if path not in modules}
        outline = memo_key(*FORMATS, [_describe(item, others) for item in items], *rest)
        built = _renew(store, outline, items, digests) if modules else None
        if built is None:
            import tempfile  # noqa: PLC0415 - often remembered

            from imagist.lastmile.hooks import run_backend  # noqa: PLC0415

            with tempfile.TemporaryDirectory(prefix="imagist-project-") as work:
                source = folder if in_place else _copy(items, digests, Path(work, "source"))
                file = run_backend(
                    backend, source, Path(work, "wheel"), environments, options, project=folder
                )
                built = _keep(store, file, outline, digests, modules)
        if not in_place:  # what history says is in no key
            remember_wheel(store, STEP, key, built)
    return replace(built, origin=Origin(requested=True))


def _check_links(items: Sequence[Item]) -> None:
    """See that a backend reads files of the project alone, whose digests are known."""
    problems = [
        Problem(
            f"`{item.source}` leads out of the project, to `{item.link}`",
            help="ignore it, or put what it leads to in its place",
        )
        for item in items
        if item.kind == "symlink" and item.link.startswith("/")
    ]
    if problems:
        raise InputError(problems)


def _renew(
    store: Store, outline: str, items: Sequence[Item], digests: Mapping[str, str]
) -> Wheel | None:
    """A wheel that was built, with the modules that changed; None where nothing is known."""
    value = store.memo.get(OUTLINE, outline)
    if value is None:
        return None
    known = msgspec.msgpack.decode(value, type=_Outline)
    changed = {path: digest for path, digest in digests.items() if known.has_other(path, digest)}
    if not changed:
        return Wheel(known.filename, known.digest, known.size)
    with store.open_blob(known.digest) as stream:
        archive = WheelArchive(stream, known.filename)
        contents = read_contents(archive) or {}
    for item in items:
        if item.path in changed:
            data = _read(item)
            check(changed[item.path], sha256(data), item.source)
            member = known.members[item.path]
            contents[member] = replace(contents[member], data=data)
    return _put(store, known.filename, write_plain(contents, archive.dist_info))


def _read(item: Item) -> bytes:
    return b"".join(read_item(item, CHUNK))


def check_fits(wheel: Wheel, target: Target) -> None:
    """See that a wheel that was built here may go to a target.

    Raises:
        InputError: it is for another Python or machine.
    """
    pythons = wheel.filename.removesuffix("-none-any.whl").rpartition("-")[2]
    if wheel.filename.endswith("-none-any.whl") and "py3" in pythons.split("."):
        return  # the library that knows all tags takes 20 ms to load
    name = parse_wheel_name(wheel.filename)
    if name is None or name.tags.isdisjoint(compatible_tags(target)):
        raise InputError(
            f"the project's own wheel, {wheel.filename}, does not fit {target}",
            help="build its wheels elsewhere, as with cibuildwheel, and require it in a project of"
            " its own, whose [tool.uv] names their folder in `find-links`",
        )


def _keep(
    store: Store,
    file: Path,
    outline: str,
    digests: Mapping[str, str],
    modules: Collection[str],
) -> Wheel:
    """Put what was built into the store, in the plain form, and note where its modules are."""
    with file.open("rb") as stream:
        archive = WheelArchive(stream, file.name)
        contents = read_contents(archive)
        check_pure(archive)
    if contents is None:
        with file.open("rb") as stream, store.writer() as blob:
            while piece := stream.read(CHUNK):
                blob.write(piece)
            size, digest = blob.size, blob.commit()
        return Wheel(file.name, digest, size)
    wheel = _put(store, file.name, write_plain(contents, archive.dist_info))
    members = trace_members(contents, archive.dist_info, digests, modules) if modules else None
    if members is not None:
        carried = {path: digests[path] for path in modules}
        known = _Outline(wheel.filename, str(wheel.digest), wheel.size, members, carried)
        store.memo.put(OUTLINE, outline, msgspec.msgpack.encode(known), blobs=[str(wheel.digest)])
    return wheel


def check_pure(archive: WheelArchive) -> None:
    """See that a wheel that says it fits any machine has nothing compiled in it.

    Raises:
        InputError: it has.
        Untrusted: it is damaged.
    """
    if not archive.filename.endswith("-any.whl"):
        return
    for name in archive.members:
        for _ in archive.pieces(name):
            pass
    if archive.objects:
        raise InputError(
            f"{archive.filename} was built here, and is said to fit any machine, but "
            f"`{min(archive.objects)}` is compiled for one",
            help="let its build backend give it a platform tag",
        )


def _put(store: Store, filename: str, data: bytes) -> Wheel:
    with store.writer() as blob:
        blob.write(data)
        return Wheel(filename, blob.commit(), len(data))


def _asks_history(document: Mapping[str, Any], backend: Backend, folder: Path) -> bool:
    """Whether the version may come from the version control system, which a copy has not.

    That is so where no file states it, or only for a plugin of Poetry's to replace it; the project
    may be a part of what is under control.
    """
    if look_up(document, "project.version") or (
        look_up(document, "tool.poetry.version") and len(backend.requirements) == 1
    ):
        return False
    place = folder.resolve()
    return any((above / ".git").exists() for above in (place, *place.parents))


def _describe(item: Item, digests: Mapping[str, str]) -> tuple[str, str, str, str, bool]:
    return item.path, item.kind, item.link, digests.get(item.path, ""), item.is_executable


def _copy(items: Sequence[Item], digests: Mapping[str, str], place: Path) -> Path:
    """What the backend may see, as its digests say; folders come before what is in them."""
    place.mkdir()
    for item in items:
        end = place / item.path
        if item.kind == "directory":
            end.mkdir(exist_ok=True)
        elif item.kind == "symlink":
            end.symlink_to(item.link)
        else:
            end.parent.mkdir(parents=True, exist_ok=True)
            state = hashlib.sha256()
            with end.open("wb") as copy:
                for piece in read_item(item, CHUNK):
                    state.update(piece)
                    copy.write(piece)
            check(digests[item.path], f"sha256:{state.hexdigest()}", item.source)
            end.chmod(0o755 if item.is_executable else 0o644)
    return place
