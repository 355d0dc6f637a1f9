from __future__ import annotations

from imagist.packages.apk.index import Package
from imagist.packages.apk.table import IndexTable
from imagist.packages.apk.tablemaker import tabulate
from imagist.packages.apk.universe import PackageList, PackageSource, Repository, Universe

CHECKSUM = "Q1p+yzm3aTQjUnlVQmw2xD/d+LGz0="
A1 = Package("a", "1-r0", checksum=CHECKSUM, provides=("v=1",))
A2 = Package("a", "2-r0", checksum=CHECKSUM)
B = Package("b", "1-r0", checksum=CHECKSUM, provides=("v",), install_if=("a", "docs"))


def table_of(*packages: Package) -> PackageSource:
    return IndexTable.open(tabulate(packages))


def universe() -> Universe:
    return Universe(
        [
            Repository(table_of(B, A2), "https://one.example/main/x86_64"),
            Repository(table_of(A1, B), "/srv/two/x86_64", "edge"),
        ]
    )


def test_candidates_come_in_the_order_of_repositories() -> None:
    found = universe().providers("a")
    assert [(each.package, each.repository, each.tag) for each in found] == [
        (A2, 0, ""),
        (A1, 1, "edge"),
    ]
    assert [each.url for each in found] == [
        "https://one.example/main/x86_64/a-2-r0.apk",
        "/srv/two/x86_64/a-1-r0.apk",
    ]
    assert str(found[0]) == "a-2-r0"


def test_same_package_in_two_repositories_is_two_candidates() -> None:
    assert [each.repository for each in universe().providers("b")] == [0, 1]


def test_same_candidate_is_the_same_object_however_found() -> None:
    everything = universe()
    [b] = [each for each in everything.providers("v") if each.repository == 0]
    assert b is everything.providers("b")[0]
    assert b is everything.install_if()[0]
    assert b is everything.install_if_on("docs")[0]
    assert everything.providers("v") is everything.providers("v")


def test_named_leaves_out_what_only_provides() -> None:
    assert len(universe().providers("v")) == 3
    assert list(universe().named("v")) == []
    assert [each.package for each in universe().named("a")] == [A2, A1]


def test_names_and_size() -> None:
    assert universe().names() == ["a", "b", "v"]
    assert len(universe()) == 4


def test_universe_of_packages_at_hand() -> None:
    found = Universe.of([A1, B], [A2]).providers("a")
    assert [(each.package, each.repository, each.url) for each in found] == [
        (A1, 0, "a-1-r0.apk"),
        (A2, 1, "a-2-r0.apk"),
    ]
    assert Universe.of().providers("a") == ()


def test_list_finds_a_package_once_for_a_name() -> None:
    twice = Package("a", "1", provides=("a=1", "b", "b=1"), install_if=("c", "c>1"))
    plain = PackageList([twice])
    assert (list(plain.providers("a")), list(plain.providers("b"))) == ([twice], [twice])
    assert list(plain.install_if_on("c")) == [twice]
    assert len(plain) == 1
