"""The solver's choice: the corpus, pins, locks, base images and several platforms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagist.errors import RequestError, Unsatisfiable
from imagist.packages.apk.index import format_record
from imagist.packages.apk.solver.solve import solve
from imagist.packages.apk.universe import PackageList, Repository, Universe
from packages.apk.solver.apko_oracle import ask_apko, write_signed_index
from packages.apk.solver.solver_worlds import (
    AMD,
    ARM,
    SCENARIOS,
    Scenario,
    read_packages,
    universe,
)
from support import needs


def installed(world: str, offered: Universe, **options: object) -> list[str]:
    resolution = solve({ARM: world.split()}, {ARM: offered}, **options)  # type: ignore[arg-type]
    return [str(candidate) for candidate in resolution.packages(ARM)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_world_becomes(scenario: Scenario) -> None:
    offered = universe(*scenario.repositories)
    if scenario.becomes is None:
        with pytest.raises(Unsatisfiable):
            installed(scenario.world, offered)
    else:
        assert installed(scenario.world, offered) == scenario.becomes.split()


@needs("apko")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_apko_chooses_the_same_or_the_difference_is_intended(
    scenario: Scenario, tmp_path: Path
) -> None:
    folders = []
    for number, text in enumerate(scenario.repositories):
        folder = tmp_path / str(number)
        index = "\n".join(format_record(package) for package in read_packages(text)) + "\n"
        key = write_signed_index(folder, "aarch64", index.encode())
        folders.append(str(folder))
    answer = ask_apko(tmp_path, folders, key, scenario.world.split())
    theirs = None if isinstance(answer, str) else " ".join(sorted(answer))
    becomes = scenario.becomes
    ours = None if becomes is None else " ".join(sorted(map(_spaced, becomes.split())))
    if scenario.apko == "same":
        assert theirs == ours, answer
    else:
        assert scenario.because
        assert theirs == scenario.apko != ours, answer


def _spaced(package: str) -> str:
    name, version, *revision = package.rsplit("-", 2 if "-r" in package[-4:] else 1)
    return f"{name} {'-'.join([version, *revision])}"


EDGE = {"edge": "foo 2 needs: lib>1\n lib 2\n bar 2\n other 2"}
STABLE = "foo 1 needs: lib\n lib 1\n bar 1"


def test_tagged_repository_is_used_only_for_its_pin() -> None:
    assert installed("foo bar", universe(STABLE, **EDGE)) == ["bar-1", "lib-1", "foo-1"]


def test_pin_takes_the_tagged_package_and_what_it_needs() -> None:
    assert installed("foo@edge bar", universe(STABLE, **EDGE)) == ["bar-1", "lib-2", "foo-2"]


def test_pin_prefers_its_tag_over_a_higher_version() -> None:
    assert installed("foo@old", universe("foo 3", old="foo 1")) == ["foo-1"]


def test_pin_with_version_is_read_in_both_spellings() -> None:
    offered = universe(STABLE, **EDGE)
    assert (
        installed("foo@edge=2", offered) == installed("foo=2@edge", offered) == ["lib-2", "foo-2"]
    )


def test_pin_falls_back_to_untagged_packages() -> None:
    assert installed("foo@edge", universe("foo 1", edge="bar 1")) == ["foo-1"]


def test_dependency_of_pinned_package_stays_untagged_where_it_can() -> None:
    assert installed("foo@edge", universe("lib 1", edge="foo 2 needs: lib\n lib 2")) == [
        "lib-1",
        "foo-2",
    ]


def test_pinned_package_answers_unpinned_requirements_too() -> None:
    assert installed("app foo@edge", universe("app 1 needs: foo\n foo 1", edge="foo 2")) == [
        "foo-2",
        "app-1",
    ]


def test_locked_version_is_kept_as_long_as_it_is_possible() -> None:
    offered = universe("app 1 needs: lib\n lib 1\n lib 2\n lib 3")
    assert installed("app", offered, locked={"lib": "2"}) == ["lib-2", "app-1"]
    assert installed("app lib>2", offered, locked={"lib": "2"}) == ["lib-3", "app-1"]
    assert installed("app", offered, locked={"lib": "0.5"}) == ["lib-3", "app-1"]


def test_base_image_packages_are_kept_and_not_installed_again() -> None:
    offered = universe("app 1 needs: lib\n lib 2\n old 9")
    base = {ARM: read_packages("lib 1 needs: gone\n old 1")}
    resolution = solve({ARM: ["app"]}, {ARM: offered}, installed=base)
    assert [str(each) for each in resolution.packages(ARM)] == ["app-1"]
    kept = [str(each.candidate) for each in resolution.chosen[ARM] if each.kept]
    assert kept == ["lib-1", "old-1"]


def test_base_image_package_that_stands_in_the_way_is_a_contradiction() -> None:
    with pytest.raises(Unsatisfiable, match="base image holds lib-1"):
        installed("lib>1", universe("lib 2"), installed={ARM: read_packages("lib 1")})


def both(amd: str, arm: str, world: str = "app") -> dict[str, list[str]]:
    entries = world.split()
    resolution = solve({AMD: entries, ARM: entries}, {AMD: universe(amd), ARM: universe(arm)})
    return {
        each.architecture: list(map(str, resolution.packages(each)))
        for each in resolution.platforms
    }


def test_platforms_get_the_newest_version_that_all_of_them_have() -> None:
    assert both("app 1\n app 2\n app 3", "app 2\n app 1") == {
        "amd64": ["app-2"],
        "arm64": ["app-2"],
    }


def test_a_lagging_platform_holds_back_dependencies_too() -> None:
    found = both("app 1 needs: lib\n lib 1\n lib 2", "app 1 needs: lib\n lib 1")
    assert found == {"amd64": ["lib-1", "app-1"], "arm64": ["lib-1", "app-1"]}


def test_packages_of_one_platform_only_are_allowed() -> None:
    found = both("app 1 needs: atomic\n atomic 1", "app 1")
    assert found == {"amd64": ["atomic-1", "app-1"], "arm64": ["app-1"]}


def test_a_provider_that_all_platforms_have_is_preferred() -> None:
    found = both(
        "app 1 needs: v\n a 9 gives: v=9\n b 1 gives: v=1", "app 1 needs: v\n b 1 gives: v=1"
    )
    assert found == {"amd64": ["b-1", "app-1"], "arm64": ["b-1", "app-1"]}


def test_platforms_that_have_no_version_in_common_are_a_contradiction() -> None:
    with pytest.raises(Unsatisfiable, match="one version on all platforms"):
        both("app 1", "app 2")


def test_a_name_behind_different_dependencies_gets_one_version() -> None:
    found = both(
        "app 1 needs: lib<3\n lib 2\n lib 3\n lib 1", "app 1 needs: lib\n lib 3\n lib 1\n lib 2"
    )
    assert found == {"amd64": ["lib-2", "app-1"], "arm64": ["lib-2", "app-1"]}


def test_worlds_may_differ_by_platform() -> None:
    offered = universe("a 1\n b 1")
    resolution = solve({AMD: ["a"], ARM: ["b"]}, {AMD: offered, ARM: offered})
    assert [str(each) for each in resolution.packages(AMD)] == ["a-1"]
    assert [str(each) for each in resolution.packages(ARM)] == ["b-1"]
    assert resolution.world == {AMD: ("a",), ARM: ("b",)}


def test_entry_that_means_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="a=="):
        installed("a==1 b=", universe("a 1"))


def test_platform_without_repositories_is_refused() -> None:
    with pytest.raises(RequestError, match="linux/arm64"):
        solve({ARM: ["a"]}, {})


def test_order_of_world_and_records_means_nothing() -> None:
    packages = [
        each for s in SCENARIOS[:3] for text in s.repositories for each in read_packages(text)
    ]
    forth = Universe.of(packages)
    back = Universe([Repository(PackageList(reversed(packages)), "")])
    assert installed("a app x", Universe.of([*packages, *read_packages("x 1")])) == installed(
        "x a app a", Universe.of([*read_packages("x 1"), *reversed(packages)])
    )
    assert installed("app a", forth) == installed("a app", back)


def test_hash_seed_means_nothing() -> None:
    script = (
        "import packages.apk.solver.solver_worlds as w, packages.apk.solver.test_solver as t\n"
        "for s in w.SCENARIOS:\n"
        "    try: print(t.solve({w.ARM: s.world.split()}, {w.ARM: w.universe(*s.repositories)}))\n"
        "    except t.Unsatisfiable as error: print(error)\n"
    )
    tests = Path(__file__).resolve().parents[3]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": f"{tests}:{tests.parent / 'src'}",
            },
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
    assert b"app" in outputs.pop()


def test_long_chains_do_not_recurse() -> None:
    lines = [f"p{n} 1 needs: p{n + 1}" for n in range(5000)] + ["p5000 1"]
    assert len(installed("p0", universe("\n".join(lines)))) == 5001
