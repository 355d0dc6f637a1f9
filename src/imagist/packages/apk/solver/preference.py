"""Which of several packages to take when each of them would do.

The order, from the first rule that tells two candidates apart:

 1. what a lock holds: the version that `locked` names for the package;
 2. the repository tag that the requirement is pinned to (`foo@edge`), then untagged repositories,
    then tags that are only allowed (for what a pinned package depends on);
 3. what exists, in that version, on all platforms being solved; then what exists in that version
    on all platforms that have the name at all; then the rest;
 4. an origin that is already chosen in the same version, so that subpackages stay together;
 5. the highest version carried for the requested name; a provide without version carries none and
    is compared by rule 7, and comes last where its package declares no `provider_priority`;
 6. between packages of one name, the highest version;
 7. between packages of different names the highest `provider_priority`, then the highest version
    of the package, whatever it is called (a name is represented by its highest version);
 8. the repository that the declaration lists first; then the name.

Rules 2, 5, 6, 8 and the priority of 7 are apk-tools' (compare_providers in its solver), which
never takes a provide without version and priority by itself, and so is definite where such a one
stands beside another. Rules 3, 4 and the version in 7 are apko's, which does choose where
apk-tools gives up: its configurations rely on that.

Two things settle more than this order does. A package already chosen that answers a requirement
answers it. And a requirement that packages of one name only can answer is decided before those
that leave a choice of names, wherever they stand, so that a virtual name is answered by something
that is needed anyway, if there is such a package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter

import msgspec

from imagist.packages.apk.dependency import Dependency, Provide, parse_provide, satisfies
from imagist.packages.apk.index import Candidate, Package
from imagist.packages.apk.version import sort_key


class Option(msgspec.Struct, frozen=True):
    """A candidate that answers a requirement."""

    standing: tuple[int, int, int]
    """Its place by rules 1 to 3; lower is better."""
    carried: str
    """The version it carries for the requested name; empty when it carries none."""
    candidate: Candidate

    @property
    def package(self) -> Package:
        """The package itself."""
        return self.candidate.package


def carried_version(package: Package, dependency: Dependency) -> str | None:
    """The highest version under which a package answers a dependency, empty for none; else None.

    For a conflict (`!x<2`) the answer is what the conflict hits.

    A provide without version answers a dependency with version only if the package's own version
    does. (apk-tools would take any, and apko looks at the package: in this much they agree.)
    """
    answers: list[str] = []
    name = dependency.name
    # Most packages provide many names; only those that can be the one are taken apart.
    provided = [text for text in package.provides if text.startswith(name)]
    if not provided and package.name != name:
        return None
    own = Provide(name, package.version)
    own_fits = satisfies(own, dependency, checksum=package.checksum)
    if own_fits and package.name == name:
        answers.append(package.version)
    for text in provided:
        provide = parse_provide(text)
        fits = satisfies(provide, dependency, checksum=package.checksum)
        by_package = own_fits and not provide.version and not dependency.conflict
        if fits or (by_package and provide.name == name):
            answers.append(provide.version)
    if len(answers) > 1:
        return max(answers, key=sort_key)
    return answers[0] if answers else None


def has_version(package: Package, name: str) -> bool:
    """Whether a package owns a name, or provides it with a version."""
    return package.name == name or any(
        text.startswith(name) and parse_provide(text).name == name and parse_provide(text).version
        for text in package.provides
    )


def order_options(options: Iterable[Option]) -> list[Option]:
    """Options best first, by every rule but the fourth, which depends on what else is chosen."""
    ordered: list[Option] = []
    by_standing = attrgetter("standing")
    found = sorted(options, key=by_standing)
    if len(found) == 1:
        return found
    for _, equals in groupby(found, key=by_standing):
        ordered += _order_equals(list(equals))
    return ordered


def prefer_origin(options: Iterable[Option], is_chosen: Callable[[Candidate], bool]) -> Option:
    """The best of ordered options when rule 4 is applied too.

    Args:
        options: at least one, best first.
        is_chosen: whether the candidate's origin is chosen already in the candidate's version.
    """
    best: Option | None = None
    for option in options:
        if best is None:
            best = option
        if option.standing != best.standing:
            break
        if option.package.origin and is_chosen(option.candidate):
            return option
    if best is None:
        raise ValueError("no options")
    return best


def _order_equals(options: list[Option]) -> list[Option]:
    """Rules 5 to 8."""
    versioned = [option for option in options if option.carried]
    declared = [o for o in options if not o.carried and o.package.provider_priority > 0]
    reluctant = [o for o in options if not o.carried and o.package.provider_priority <= 0]
    first: list[Option] = []
    versioned.sort(key=lambda option: sort_key(option.carried), reverse=True)
    for _, equals in groupby(versioned, key=lambda option: sort_key(option.carried)):
        first += _order_names(list(equals))
    second = _order_names(declared)
    # Without a version there is nothing to compare by rule 5, so the best of each side decides.
    if first and second and _order_names([first[0], second[0]])[0] is second[0]:
        first, second = second, first
    return first + second + _order_names(reluctant)


def _order_names(options: list[Option]) -> list[Option]:
    """Rules 6 to 8. Sorting is stable, so that the last rule is applied first."""
    options.sort(key=lambda o: (o.candidate.repository, o.package.name, o.package.checksum))
    options.sort(key=lambda o: sort_key(o.package.version), reverse=True)
    names: dict[str, list[Option]] = {}
    for option in options:
        names.setdefault(option.package.name, []).append(option)
    blocks = sorted(names.values(), key=lambda block: -block[0].package.provider_priority)
    return [option for block in blocks for option in block]
