from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.build.partition import SMALL, plan_groups, rank_by_dependents
from imagist.digest import Digest
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.index import Package
from imagist.rootfs.entry import Entry

_BLANK = {
    "arch": "x86_64", "checksum": "Q1", "size": 0, "installed_size": 0, "depends": (),
    "provides": (), "replaces": (), "install_if": (), "origin": "", "license": "",
    "description": "", "url": "", "maintainer": "", "commit": "", "build_time": 0,
    "provider_priority": 0, "replaces_priority": 0,
}  # fmt: skip


def package(name: str, size: int = 0, **fields: object) -> ApkFiles:
    known = {field.name for field in msgspec.structs.fields(Package)}
    values = {key: value for key, value in _BLANK.items() if key in known}
    made = Package(**(values | {"name": name, "version": "1.0-r0"} | fields))  # type: ignore[arg-type]
    digest = Digest("sha256:" + "0" * 64)
    return ApkFiles(made, digest, size, digest, size, (Entry(name),))


def names(
    packages: Sequence[ApkFiles], strategy: str, budget: int, **altered: str
) -> list[list[str]]:
    groups = plan_groups(packages, altered, strategy=strategy, budget=budget)
    return [[files.package.name for files in group.packages] for group in groups]


@st.composite
def sets(draw: st.DrawFn) -> list[ApkFiles]:
    count = draw(st.integers(1, 9))
    known = [f"p{number}" for number in range(count)]
    some = st.lists(st.sampled_from(known), max_size=2, unique=True).map(tuple)
    return [
        package(
            name,
            draw(st.sampled_from([10, SMALL - 1, SMALL, 5 * SMALL])),
            origin=draw(st.sampled_from(["", "o1", "o2"])),
            installed_size=draw(st.integers(0, 3)),
            depends=draw(some),
            replaces=draw(some),
        )
        for name in known
    ]


@settings(max_examples=200, deadline=None)
@given(sets(), st.integers(1, 8), st.sampled_from(["package", "origin", "single"]))
def test_groups_divide_the_packages_within_the_budget(
    packages: list[ApkFiles], budget: int, strategy: str
) -> None:
    found = names(packages, strategy, budget)
    # `package` counts the top layer, apko's `origin` does not.
    assert len(found) + (strategy != "origin") <= budget
    flat = [name for group in found for name in group]
    assert len(flat) == len(set(flat))
    if found:
        assert sorted(flat) == sorted(files.package.name for files in packages)


@settings(max_examples=100, deadline=None)
@given(
    sets(),
    st.integers(0, 8),
    st.sampled_from(["package", "origin"]),
    st.randoms(use_true_random=False),
)
def test_groups_do_not_depend_on_the_order(
    packages: list[ApkFiles], budget: int, strategy: str, random: Random
) -> None:
    before = names(packages, strategy, budget)
    random.shuffle(packages)
    assert names(packages, strategy, budget) == before


@settings(max_examples=100, deadline=None)
@given(sets(), st.integers(2, 8))
def test_only_packages_that_stand_alone_unaltered_are_verbatim(
    packages: list[ApkFiles], budget: int
) -> None:
    altered = {packages[0].package.name: "changed"}
    for group in plan_groups(packages, altered, strategy="package", budget=budget):
        if group.verbatim:
            [files] = group.packages
            assert files.package.name not in altered


def test_with_a_short_budget_verbatim_packages_go_first() -> None:
    big = [package("a", 9 * SMALL), package("b", 2 * SMALL), package("c", SMALL)]
    assert names(big, "package", 3, a="changed") == [["b"], ["a", "c"]]


def test_layers_of_the_most_depended_on_come_first() -> None:
    some = [package("a", 9 * SMALL, depends=("z",)), package("z", SMALL)]
    assert names(some, "package", 9) == [["z"], ["a"]]


def test_small_packages_share_one_layer_that_comes_last() -> None:
    some = [package("s1"), package("s2"), package("big", SMALL)]
    assert names(some, "package", 60) == [["big"], ["s1", "s2"]]


@pytest.mark.parametrize("budget", [0, 1])
def test_a_budget_that_only_the_top_layer_fits_gives_one_layer(budget: int) -> None:
    assert names([package("a", SMALL)], "package", budget) == []


# What apko makes of the same packages (its layering rules: by origin, joined by replaces, the
# largest first, ties by the greatest name, what is over the budget in one).
@pytest.mark.parametrize(
    ("packages", "budget", "expected"),
    [
        ([("a", "", 1, ()), ("b", "", 2, ())], 9, [{"a"}, {"b"}]),
        ([("a", "o", 1, ()), ("b", "o", 2, ())], 9, [{"a", "b"}]),
        ([("a", "", 1, ("b",)), ("b", "", 2, ())], 9, [{"a", "b"}]),
        ([("a", "", 1, ("b<1",)), ("b", "", 2, ())], 9, [{"a"}, {"b"}]),
        ([("a", "", 1, ("b",)), ("b", "", 2, ("c",)), ("c", "", 3, ())], 9, [{"a", "b", "c"}]),
        ([("a", "", 1, ()), ("b", "", 2, ()), ("c", "", 3, ())], 2, [{"c"}, {"a", "b"}]),
        ([("a", "", 2, ()), ("b", "", 2, ()), ("c", "", 2, ())], 2, [{"a"}, {"b", "c"}]),
        ([("a", "", 1, ()), ("b", "", 2, ()), ("c", "", 3, ())], 3, [{"c"}, {"b"}, {"a"}]),
        ([("a", "", 1, ()), ("b", "", 2, ())], 1, [{"a", "b"}]),
        ([("a", "", 1, ()), ("b", "", 2, ())], 0, [{"a", "b"}]),
    ],
)  # fmt: skip
def test_origin_groups_are_those_of_apko(
    packages: list[tuple[str, str, int, tuple[str, ...]]], budget: int, expected: list[set[str]]
) -> None:
    made = [
        package(name, origin=origin, installed_size=size, replaces=replaces)
        for name, origin, size, replaces in packages
    ]
    found = [set(group) for group in names(made, "origin", budget)]
    assert sorted(found, key=sorted) == sorted(expected, key=sorted)


def test_the_most_depended_on_rank_first() -> None:
    some = [
        package("app", depends=("lib", "so:c")),
        package("lib", depends=("so:c",)),
        package("libc", provides=("so:c=1",)),
        package("loop1", depends=("loop2",)),
        package("loop2", depends=("loop1",)),
    ]
    rank = rank_by_dependents(some)
    assert sorted(rank, key=rank.__getitem__) == ["libc", "lib", "loop1", "loop2", "app"]
