"""Packages that are no wheel yet: source distributions and folders, built and taken only if pure.

What a build makes is not what a lock has a hash of. So it happens only where the declaration asks
for it, in an environment of its own, and what comes out must run on any machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from imagist.errors import InputError, Problem, Untrusted
from imagist.lastmile.backend import Options
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.project import build_project, check_fits, recall_wheel, remember_wheel
from imagist.lastmile.variables import steering
from imagist.lastmile.wheels import Wheel
from imagist.packages.wheel.choose import Choice, is_wheel_of
from imagist.packages.wheel.gather import Gathered
from imagist.packages.wheel.install import Origin
from imagist.packages.wheel.lock.model import File
from imagist.packages.wheel.target import Target
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "sdist-wheel"
FORMAT: Final = 3


class SourceBuilder:
    """Makes wheels of what is no wheel; each once."""

    def __init__(
        self,
        store: Store,
        environments: BuildEnvironments,
        gathered: Gathered,
        options: Options | None = None,
    ) -> None:
        """Nothing is built yet.

        Args:
            store: where sources and wheels go.
            environments: where build backends are installed.
            gathered: what was chosen, and brings sources; folders are relative to its lock.
            options: how things are built.
        """
        self._store = store
        self._environments = environments
        self._gathered = gathered
        self._options = options or Options()
        self._made: dict[tuple[str, str], Wheel] = {}

    def wheel(self, choice: Choice, target: Target, *, requested: bool = False) -> Wheel:
        """The wheel of a choice: the file itself, or what is built of it.

        Raises:
            InputError: it cannot be built, or what is built is not for the target.
            Untrusted: a source distribution is hostile.
        """
        origin = Origin(requested=requested)
        file = choice.file
        if file is not None and file.is_wheel:
            digest = f"sha256:{file.sha256}"
            return Wheel(file.name, digest, self._gathered.sizes[digest], origin)
        package = choice.package
        place = package.origin.location if package.origin else ""
        key = (file.sha256 if file is not None else place, package.subdirectory)
        if key not in self._made:
            self._made[key] = self._build(choice, file)
        built = self._made[key]
        _check_is(built, choice)
        check_fits(built, target)
        return replace(built, origin=origin)

    def _build(self, choice: Choice, file: File | None) -> Wheel:
        package = choice.package
        try:
            if file is not None:
                return self._build_archive(file, package.subdirectory)
            location = package.origin.location if package.origin else ""
            folder = self._gathered.lock.parent / location / package.subdirectory
            table = FileTable(self._store, folder)
            built = build_project(folder, self._store, self._environments, table, self._options)
            table.keep()
        except InputError as error:
            problems = [replace(p, message=f"{package}: {p.message}") for p in error.problems]
            raise type(error)(problems) from error
        return built

    def _build_archive(self, file: File, subdirectory: str) -> Wheel:
        options = self._options
        settings = (options.mtime, dict(options.settings), steering())
        key = memo_key(FORMAT, file.sha256, subdirectory, *settings)
        wheel = recall_wheel(self._store, STEP, key)
        if wheel is None:
            import tempfile  # noqa: PLC0415 - often remembered

            from imagist.lastmile.unpack import unpack_source  # noqa: PLC0415 - as above

            self._gathered.bring([f"sha256:{file.sha256}"])
            with tempfile.TemporaryDirectory(prefix="imagist-source-") as work:
                root = unpack_source(
                    self._store.path(f"sha256:{file.sha256}"), file.name, Path(work)
                )
                folder = _enter(root, subdirectory)
                wheel = build_project(
                    folder,
                    self._store,
                    self._environments,
                    FileTable(self._store, folder),
                    replace(options, whole=True),
                )
            _check_any(wheel, file)
            remember_wheel(self._store, STEP, key, wheel)
        return replace(wheel, origin=Origin())


def _check_is(wheel: Wheel, choice: Choice) -> None:
    """What is built must be what the lock means; the version of a folder is what that says."""
    package = choice.package
    version = package.version if choice.file is not None else ""
    if not is_wheel_of(wheel.filename, package.name, version):
        raise InputError(
            f"{package}: it builds `{wheel.filename}`, which is another package or version",
            help="lock again; if the lock is right, tell whoever publishes the source",
        )


def _enter(root: Path, subdirectory: str) -> Path:
    """The folder of a project in what its source is unpacked to."""
    folder = root / subdirectory
    if not folder.resolve().is_relative_to(root.resolve()):
        raise Untrusted(f"its subdirectory is outside of its source: `{subdirectory}`")
    return folder


def _check_any(wheel: Wheel, file: File) -> None:
    """What is compiled here depends on this machine's compiler and libraries."""
    if not wheel.filename.endswith("-any.whl"):
        raise InputError(
            Problem(
                f"`{file.name}` makes `{wheel.filename}`, which is for this machine alone",
                help="build it for each platform elsewhere, and let the lock name the wheels",
            )
        )
