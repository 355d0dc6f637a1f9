"""From a lock to the files of each target: what is wanted, where it lies, which file fits."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imagist.errors import Problem, RequestError
from imagist.packages.wheel.choose import Choice, choose_files
from imagist.packages.wheel.index import Finder, package_key
from imagist.packages.wheel.lock.model import Lock, Package
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.wanted import wanted_packages


def select_files(
    lock: Lock,
    targets: Sequence[Target],
    finder: Finder,
    *,
    extras: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    sdists: Collection[str] = (),
) -> dict[Target, list[Choice]]:
    """What each target gets of a lock, by the name of the package.

    Args:
        lock: of any format.
        targets: for which packages are wanted; all of them must get theirs.
        finder: is asked where the lock does not say where a file lies.
        extras: extras of the project.
        groups: dependency groups, beside those that the lock wants in any case.
        sdists: packages of which a source distribution will do where no wheel fits.

    Raises:
        RequestError: what is asked for cannot be had; for all targets at once.
        NotFound: no index has a package, or a file with its hash.
        NetworkError: an index cannot be reached or refuses.
    """
    wanted = _wanted(lock, targets, extras, groups)
    everything = (package for packages in wanted.values() for package in packages)
    complete = finder.complete(lock, everything)
    located = {
        target: [complete[package_key(package)] for package in packages]
        for target, packages in wanted.items()
    }
    return choose_files(lock, located, sdists=sdists)


def _wanted(
    lock: Lock, targets: Sequence[Target], extras: Sequence[str], groups: Sequence[str] | None
) -> dict[Target, list[Package]]:
    wanted: dict[Target, list[Package]] = {}
    problems: list[Problem] = []
    for target in targets:
        try:
            wanted[target] = wanted_packages(lock, target, extras=extras, groups=groups)
        except RequestError as error:
            problems += error.problems
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))
    return wanted
