"""Several indexes as one: what is the same package, which comes first, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from imagist.packages.deb.index import Package
from imagist.packages.deb.universe import (
    PackageList,
    Pin,
    Repository,
    Suite,
    Universe,
    place_below,
)
from packages.deb.solver.deb_worlds import pkg


def test_the_same_package_in_two_indexes_is_one_candidate() -> None:
    one, other = pkg("a", sha256="1" * 64), pkg("a", sha256="1" * 64)
    low = Suite("low", not_automatic=True)
    universe = Universe(
        "amd64",
        [
            Repository(PackageList([one]), low, "https://low.example.org"),
            Repository(PackageList([other]), Suite("high"), "https://high.example.org"),
        ],
    )
    (candidate,) = universe.providers("a")
    assert (candidate.priority, candidate.suite.suite) == (500, "high")
    assert candidate.url == "https://high.example.org/a_1_amd64.deb"
    assert universe.named("a")[0] is candidate


def test_thousands_of_versions_are_gone_through_once() -> None:
    class Counting(PackageList):
        asked = 0

        def providers(self, name: str) -> Sequence[Package]:
            Counting.asked += 1
            return super().providers(name)

    packages = [pkg("a", version=f"1.{number}") for number in range(2000)]
    universe = Universe("amd64", [Repository(Counting(packages))])
    assert len(universe.named("a")) == 2000
    assert universe.named("a")[0].version == "1.1999"
    assert Counting.asked == 2


def test_two_builds_of_one_version_are_two_candidates() -> None:
    universe = Universe.of([pkg("a", sha256="1" * 64)], [pkg("a", sha256="2" * 64)])
    assert [each.repository for each in universe.named("a")] == [0, 1]


def test_packages_of_other_architectures_are_seen_where_they_are_asked_for() -> None:
    packages = [pkg("a"), pkg("a", arch="i386"), pkg("b", arch="all"), pkg("c", arch="i386")]
    repositories = [Repository(PackageList(packages))]
    native = Universe("amd64", repositories)
    assert [str(each) for each in native.providers("a")] == ["a-1"]
    assert not native.providers("c")
    both = Universe("amd64", repositories, foreign=["i386"])
    assert [str(each) for each in both.providers("a")] == ["a-1", "a:i386-1"]
    assert [str(each) for each in both.named("a", "i386")] == ["a:i386-1"]
    assert len(both.named("b")) == 1
    assert not both.named("b", "i386")


def test_pins_for_some_packages_go_before_those_for_all() -> None:
    pins = [Pin(100), Pin(900, ("lib*",)), Pin(800, ("libc", "a?"))]
    universe = Universe(
        "amd64", [Repository(PackageList([pkg("libc"), pkg("ab"), pkg("b")]))], pins=pins
    )
    found = {name: universe.named(name)[0].priority for name in ("libc", "ab", "b")}
    assert found == {"libc": 900, "ab": 800, "b": 100}


@pytest.mark.parametrize(
    ("archive", "filename", "place"),
    [
        (
            "https://x.org/debian",
            "./pool/a_1%3a2+b~c.deb",
            "https://x.org/debian/pool/a_1%3a2+b~c.deb",
        ),
        ("https://x.org", "pool/a b#?.deb", "https://x.org/pool/a%20b%23%3F.deb"),
        ("/srv/debs", "./a b#.deb", "/srv/debs/a b#.deb"),
        ("", "a.deb", "a.deb"),
    ],
)
def test_where_a_file_is(archive: str, filename: str, place: str) -> None:
    assert place_below(archive, filename) == place


def test_essential_packages_are_found_by_name() -> None:
    essential: list[Package] = [pkg("dash", essential=True), pkg("bash", essential=True), pkg("c")]
    foreign = [pkg("zsh", arch="i386", essential=True)]
    assert Universe.of(essential, foreign).essential() == ["bash", "dash"]
