"""What an image of .debs has beside packages: what scripts would have made, the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagist.build.derived.alternatives import link_alternatives
from imagist.build.derived.cabundle import put_ca_bundle
from imagist.build.derived.maintainer import follow_scripts
from imagist.build.derived.mutations import mutate_slices
from imagist.build.derived.place import find_file, put_entry, put_file, read_file
from imagist.build.derived.pycache import put_pycache
from imagist.build.formats.packaging import Finish, Ground
from imagist.errors import CheckFailed, InputError, Problem, RequestError
from imagist.packages.deb import marks
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.database import (
    DatabaseFile,
    describe_installed,
    format_full,
    format_status_folder,
)
from imagist.packages.deb.installed import FOLDER, STATUS
from imagist.packages.deb.scripts.call import DECLARE, DIVERSION
from imagist.packages.deb.scripts.system import Alternative
from imagist.packages.deb.slices import Slice
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Tree
from imagist.text.suggest import did_you_mean

_FOLDERS: Final = {
    "dev": 0o755,
    "etc": 0o755,
    "proc": 0o555,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_MERGED: Final = ("bin", "lib", "lib64", "sbin")
MERGERS: Final = frozenset({"usrmerge", "usr-is-merged"})
"""Packages whose scripts merge `/usr`, or refuse to be installed where it is not."""
DATABASES: Final = ("status.d", "dpkg")
"""For scanners alone, or all that dpkg and apt need to go on."""


class DebState(msgspec.Struct, frozen=True):
    """What is declared of an image's packaging."""

    arch: str
    """The Debian architecture."""
    database: str = "status.d"
    """One of `DATABASES`; a base image that has dpkg's goes on with it."""
    alternatives: dict[str, str] = {}
    """Path by name, whatever the priorities."""
    pycache: bool = True
    """Whether Python modules are compiled."""
    scripts: str = "warn"
    """What to do about scripts that are not understood: `warn`, `fail` or `ignore`."""
    slices: tuple[Slice, ...] = ()
    """Those that packages were cut to, the needed ones first."""
    world: tuple[str, ...] = ()
    """What is asked for, as it was written."""
    merges_usr: bool = False
    """Whether a package has `/bin` and the like be links into `/usr`, as new releases do."""


class DebPackaging:
    """Debian's packages (`packaging.Packaging`)."""

    all_homes = False

    def __init__(self, state: DebState) -> None:
        """Nothing is done yet."""
        self._state = state

    def put_skeleton(self, tree: Tree, *, epoch: int) -> None:
        """Make the folders that runtimes mount things in, and those that everything needs."""
        for path, mode in _FOLDERS.items():
            put_entry(tree, Entry(path, "directory", mode, mtime=epoch))
        for name in _MERGED if self._state.merges_usr else ():
            place = f"usr/{name}"
            put_entry(tree, Entry(place, "directory", 0o755, mtime=epoch))
            put_entry(tree, Entry(name, "symlink", 0o777, mtime=epoch, link=place))

    def begin(self, ground: Ground[DebFiles]) -> Finish:
        """Do what maintainer scripts would have done.

        Raises:
            CheckFailed: there are scripts that are not understood, and that is not accepted.
            ImagistError: packages hold something that cannot be used.
        """
        state, tree, contents, epoch = self._state, ground.tree, ground.contents, ground.epoch
        if state.slices:
            mutate_slices(tree, contents, state.slices, epoch=epoch)
        sliced = {each.package for each in state.slices}
        derived = follow_scripts(
            tree,
            contents,
            [files for files in ground.packages if files.package.name not in sliced],
            arch=state.arch,
            users=ground.users,
            groups=ground.groups,
            epoch=epoch,
        )
        report = derived.report
        self._tell(report.ignored, str(report), ground.warnings)
        _check_chosen(state.alternatives, derived.offered)
        warnings = link_alternatives(
            tree,
            derived.offered,
            {**derived.chosen, **state.alternatives},
            keep_records=state.database == "dpkg",
            epoch=epoch,
        )
        if "certificates" in report.effects:
            keystore = "keystore" in report.effects
            warnings += put_ca_bundle(tree, contents, keystore=keystore, epoch=epoch)
        if state.pycache and "pycache" in report.effects:
            warnings += put_pycache(tree, contents, epoch=epoch)
        ground.warnings.extend(warnings)
        return lambda: self._put_database(ground)

    def _tell(
        self, ignored: Mapping[str, tuple[str, ...]], line: str, warnings: list[str]
    ) -> None:
        if not ignored or self._state.scripts == "ignore":
            return
        if self._state.scripts == "fail":
            raise CheckFailed(
                Problem(f"a script of {name} is not understood: {'; '.join(what)}")
                for name, what in sorted(ignored.items())
            )
        warnings.append(line)
        warnings += [
            f"of {name}: {each}"
            for name, what in sorted(ignored.items())
            for each in what
            if each.endswith(DECLARE) or each.startswith(DIVERSION)
        ]

    def _put_database(self, ground: Ground[DebFiles]) -> None:
        """Write the database; it lists what is in the finished image."""
        tree, moved = ground.tree, ground.merged.landed
        _check_untouched(ground)
        records = [
            describe_installed(files, tree, moved.get(files.package.name))
            for files in ground.packages
        ]
        old = read_file(tree, ground.contents, STATUS)
        if self._state.database == "dpkg" or old is not None:
            found = format_full(records, status=old or b"", interests=_interests(ground))
            found.append(self._mark(ground))
        else:
            found = format_status_folder(records)
        for file in found:
            put_file(tree, file.path, file.data, mode=file.mode, epoch=ground.epoch)

    def _mark(self, ground: Ground[DebFiles]) -> DatabaseFile:
        """What apt knows beside dpkg's database."""
        before = read_file(ground.tree, ground.contents, marks.PATH) or b""
        installed = [files.package for files in ground.packages]
        data = marks.mark_automatic(before, installed, self._state.world, self._state.arch)
        return DatabaseFile(marks.PATH, data)


def _check_chosen(chosen: Mapping[str, str], offered: Sequence[Alternative]) -> None:
    """Refuse alternatives that are declared, and of which nothing would come."""
    known = sorted({each.name for each in offered})
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise RequestError(
            Problem(
                f"no package offers an alternative {name}",
                None,
                did_you_mean(name, known) or "leave it out of `alternatives`",
            )
            for name in unknown
        )


def _check_untouched(ground: Ground[DebFiles]) -> None:
    """Refuse packages that bring files of the database, and so tell scanners what they like."""
    names = {files.package.name for files in ground.packages}
    nodes = [node for node in ground.tree.below(FOLDER) if not node.entry.is_directory]
    problems = [
        Problem(f"{node.owner} brings /{node.entry.path}, which belongs to the package database")
        for node in nodes
        if node.owner in names
    ]
    if problems:
        raise InputError(problems)


def _interests(ground: Ground[DebFiles]) -> dict[str, bytes]:
    """Who is interested in which trigger, as a base image has it."""
    folder = f"{FOLDER}/triggers"
    found: dict[str, bytes] = {}
    for node in ground.tree.below(folder):
        name = node.entry.path.removeprefix(f"{folder}/")
        file = find_file(ground.tree, node.entry.path)
        if file is not None and name not in {"Unincorp", "Lock"}:
            found[name] = ground.contents.read([file])[file.entry.path]
    return found
