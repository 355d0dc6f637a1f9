"""Which packages of a lock a target wants: by markers, Python versions, extras and groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from imagist.errors import Problem, RequestError
from imagist.packages.wheel.lock.graph import reach
from imagist.packages.wheel.lock.model import Lock, Package, normalize
from imagist.packages.wheel.target import Target, marker_environment
from imagist.text.suggest import did_you_mean

if TYPE_CHECKING:
    from packaging.markers import Marker

_NO_EXTRA: Final = ""


def wanted_packages(
    lock: Lock, target: Target, *, extras: Sequence[str] = (), groups: Sequence[str] | None = None
) -> list[Package]:
    """The packages that a target wants, by name.

    Args:
        lock: of any format.
        target: what they are for.
        extras: extras of the project.
        groups: dependency groups, beside those that the lock wants in any case.

    Raises:
        RequestError: the lock is not for this target, an extra or group is unknown, a marker
            cannot be evaluated, or two versions of a package are wanted; all of it at once.
    """
    problems: list[Problem] = []
    choice = _Wishes(lock, target, extras, groups or (), problems)
    choice.check_target()
    found: dict[str, Package] = {}
    for package in lock.packages:
        if not choice.wants(package):
            continue
        choice.check_python(package)
        other = found.setdefault(package.name, package)
        if other is not package and not _is_same(other, package):
            problems.append(_conflict(lock, target, other, package))
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))
    return [found[name] for name in sorted(found)]


class _Wishes:
    """What is asked of a lock for one target."""

    def __init__(
        self,
        lock: Lock,
        target: Target,
        extras: Sequence[str],
        groups: Sequence[str],
        problems: list[Problem],
    ) -> None:
        self.lock = lock
        self.target = target
        self.problems = problems
        wanted_extras = self.check_names("extra", extras, lock.extras)
        wanted_groups = self.check_names("group", groups, lock.groups)
        if lock.extras_are_groups:
            wanted_groups |= wanted_extras
        self.groups = wanted_groups | set(lock.default_groups)
        self.extras = wanted_extras
        self.environment = marker_environment(target)
        self.reached = (
            reach(lock.graph, wanted_extras, self.groups, self.holds) if lock.graph else None
        )

    def check_names(
        self, kind: str, names: Iterable[str], known: tuple[str, ...] | None
    ) -> set[str]:
        """The normalised names; those that the lock does not know are told."""
        wanted = {normalize(name) for name in names}
        if self.lock.is_narrow:
            self.check_narrow(kind, wanted, set(known or ()))
            return wanted
        for name in sorted(wanted - set(known or ())):
            advice = did_you_mean(name, known or ())
            if known is None:
                advice = f"its format has no {kind}s: make it with the {kind} `{name}` in it"
            self.problems.append(
                Problem(f"the lock has no {kind} `{name}`", self.lock.file, advice)
            )
        return wanted

    def check_narrow(self, kind: str, wanted: set[str], made_for: set[str]) -> None:
        """Its packages do not say for which extra or group they are there."""
        for name in sorted(wanted ^ made_for):
            if name in made_for:
                said = f"the lock was made with the {kind} `{name}`, which is not asked for"
            else:
                said = f"the lock was made without the {kind} `{name}`"
            self.problems.append(Problem(said, self.lock.file, "lock again with `imagist lock`"))

    def check_target(self) -> None:
        """A lock says what it is for."""
        lock, target = self.lock, self.target
        if not _contains(lock.requires_python, target.python):
            self.problems.append(
                Problem(
                    f"the lock is for Python {lock.requires_python}, but {target.platform} has "
                    f"{target.python}",
                    lock.locate("requires-python"),
                    "use a base image with such a Python, or lock again for this one",
                )
            )
        if lock.environments and not any(
            self.holds(marker, f"environments[{number}]")
            for number, marker in enumerate(lock.environments)
        ):
            self.problems.append(
                Problem(
                    f"the lock is for other environments than {target}",
                    lock.locate("environments"),
                    "lock again for all environments, or for this one",
                )
            )

    def check_python(self, package: Package) -> None:
        """A package that is wanted must run there."""
        if not _contains(package.requires_python, self.target.python):
            self.problems.append(
                Problem(
                    f"{package} needs Python {package.requires_python}, but "
                    f"{self.target.platform} has {self.target.python}",
                    self.lock.place(package),
                    "use a base image with such a Python, or lock again for this one",
                )
            )

    def wants(self, package: Package) -> bool:
        """Whether the package is wanted at all."""
        if self.reached is not None:
            return package.where in self.reached
        if package.groups and not any(
            group in self.groups and self.holds(marker, package.where)
            for group, marker in package.groups.items()
        ):
            return False
        return self.holds(package.marker, package.where)

    def holds(self, marker: str, where: str) -> bool:
        """Whether a marker is true; one that cannot be evaluated is told, and taken for false."""
        from packaging import markers  # noqa: PLC0415 - takes its time, and few need it

        if not marker:
            return True
        try:
            parsed = _parse_marker(marker)
            # `extra` is a single one (PEP 508): whichever of them makes it true will do.
            return any(self._evaluate(parsed, extra) for extra in self._extras(marker))
        except (markers.InvalidMarker, markers.UndefinedComparison) as error:
            said = str(error).partition("\n")[0]
        except markers.UndefinedEnvironmentName as error:
            said = f"there is no variable {error}"
        self.problems.append(
            Problem(f"the marker `{marker}` cannot be evaluated: {said}", self.lock.locate(where))
        )
        return False

    def _extras(self, marker: str) -> Sequence[str]:
        return (_NO_EXTRA, *sorted(self.extras)) if "extra" in marker else (_NO_EXTRA,)

    def _evaluate(self, marker: Marker, extra: str) -> bool:
        environment: dict[str, str | frozenset[str]] = {
            **self.environment,
            "extra": extra,
            "extras": frozenset(self.extras),
            "dependency_groups": frozenset(self.groups),
        }
        return marker.evaluate(environment, "lock_file")


@cache
def _parse_marker(text: str) -> Marker:
    from packaging.markers import Marker  # noqa: PLC0415 - takes its time, and few need it

    return Marker(text)


@cache
def _contains(specifier: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - takes its time

    return not specifier or SpecifierSet(specifier).contains(version, prereleases=True)


def _is_same(one: Package, other: Package) -> bool:
    """Whether two entries are the same version from the same place, wanted for two reasons."""
    return (one.version, one.files, one.allowed, one.origin) == (
        other.version,
        other.files,
        other.allowed,
        other.origin,
    )


def _conflict(lock: Lock, target: Target, one: Package, other: Package) -> Problem:
    different = one.version != other.version
    what = f"versions {one.version} and {other.version}" if different else "two sources"
    return Problem(
        f"{target.platform} wants {what} of `{one.name}` at once",
        lock.place(other),
        "their markers overlap; lock again, or leave one of the extras or groups out",
    )
