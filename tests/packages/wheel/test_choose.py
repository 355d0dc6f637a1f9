"""Which packages are wanted, which file of each is taken, and what is told where none fits."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from imagist.errors import RequestError
from imagist.packages.wheel.choose import ALL, Choice, choose_file, choose_files, parse_wheel_name
from imagist.packages.wheel.lock.model import MAIN, File, Lock, Origin, Package
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.wanted import wanted_packages
from packages.wheel.targets import ARCHITECTURES, target

MUSL = target(libc="musl")


def file(name: str) -> File:
    return File(name, f"{hash(name) & (2**60 - 1):064x}", location=f"https://files.example/{name}")


def package(name: str, version: str = "1.0", *files: str, **rest: Any) -> Package:
    names = files or (f"{name}-{version}-py3-none-any.whl",)
    return Package(name=name, version=version, files=tuple(map(file, names)), **rest)


def lock(*packages: Package, **rest: Any) -> Lock:
    return Lock(file="pylock.toml", packages=packages, **rest)


def wanted(given: Lock, where: Target | None = None, **wishes: Any) -> list[str]:
    return [str(each) for each in wanted_packages(given, where or target(), **wishes)]


def taken(names: list[str], where: Target, *, source: bool = False) -> str | None:
    files = tuple(File(name, "0" * 64) for name in names)
    found = choose_file(Package(name="x", files=files), where, source=source)
    return found.name if found else None


# wanted


def test_markers_are_evaluated_for_the_target() -> None:
    given = lock(
        package("a", marker="platform_machine == 'aarch64'"),
        package("b", marker="sys_platform == 'win32'"),
        package("c", marker="python_full_version >= '3.12.7'"),
    )
    assert wanted(given) == ["c 1.0"]
    assert wanted(given, target("arm64", "3.12.6")) == ["a 1.0"]


def test_extras_and_groups_of_the_standard() -> None:
    given = lock(
        package("a", marker="'fast' in extras"),
        package("b", marker="'dev' in dependency_groups"),
        package("c", marker="'base' in dependency_groups"),
        extras=("fast",),
        groups=("dev", "base"),
        default_groups=("base",),
    )
    assert wanted(given) == ["c 1.0"]
    assert wanted(given, extras=["Fast"]) == ["a 1.0", "c 1.0"]
    assert wanted(given, groups=["dev"]) == ["b 1.0", "c 1.0"]


def test_extras_and_groups_of_poetry() -> None:
    given = lock(
        package("a", groups={MAIN: "extra == 'fast'", "dev": ""}),
        package("b", groups={MAIN: ""}, marker="extra == 'fast' or extra == 'slow'"),
        extras=("fast", "slow"),
        groups=("dev",),
        default_groups=(MAIN,),
    )
    assert wanted(given) == []
    assert wanted(given, extras=["slow"]) == ["b 1.0"]
    assert wanted(given, extras=["slow", "fast"]) == ["a 1.0", "b 1.0"]
    assert wanted(given, groups=["dev"]) == ["a 1.0"]


def test_extras_of_pdm_are_groups() -> None:
    given = lock(
        package("a", groups={"fast": ""}),
        extras=("fast",),
        groups=("fast",),
        default_groups=(MAIN,),
        extras_are_groups=True,
    )
    assert wanted(given, extras=["fast"]) == wanted(given, groups=["fast"]) == ["a 1.0"]


def test_what_is_unknown_or_unfit_is_told_all_at_once() -> None:
    given = lock(
        package("a", requires_python=">=3.13"),
        package("b", marker="nonsense == 1"),
        package("c", marker="extras == 'x'"),
        extras=("fast",),
        requires_python=">=3.13",
        environments=("sys_platform == 'win32'",),
    )
    with pytest.raises(RequestError) as caught:
        wanted(given, extras=["fats"], groups=["dev"])
    messages = [problem.message for problem in caught.value.problems]
    assert caught.value.problems[0].help == "did you mean `fast`?"
    assert [message.partition(" ")[0] for message in messages] == [
        "the",  # extra
        "the",  # group
        "the",  # Python of the lock
        "the",  # environments
        "a",
        "the",  # marker
        "the",
    ]
    assert "`nonsense == 1` cannot be evaluated" in messages[5]


def test_two_versions_at_once_are_a_contradiction() -> None:
    given = lock(
        package("a", "1.0", marker="sys_platform == 'linux'"),
        package("a", "2.0", marker="os_name == 'posix'"),
        package("b", "1.0"),
        package("b", "1.0", marker="os_name == 'posix'"),
    )
    with pytest.raises(RequestError, match=r"versions 1\.0 and 2\.0 of `a` at once"):
        wanted(given)


# chosen


@pytest.mark.parametrize(
    ("where", "best"),
    [
        (target(), "x-1-cp312-cp312-manylinux_2_28_x86_64.whl"),
        (target(libc_version=(2, 27)), "x-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        (target(libc_version=(2, 12)), "x-1-py3-none-any.whl"),
        (target(python="3.13.0"), "x-1-cp38-abi3-manylinux2014_x86_64.whl"),
        (target(python="3.13.0", threaded=True), "x-1-cp313-cp313t-manylinux_2_17_x86_64.whl"),
        (target(python="3.14.0", threaded=True), "x-1-py3-none-any.whl"),
        (MUSL, "x-1-cp312-cp312-musllinux_1_1_x86_64.whl"),
        (target("arm64"), "x-1-cp312-cp312-manylinux2014_aarch64.whl"),
        (target("arm/v7"), "x-1-cp312-cp312-linux_armv7l.whl"),
        (target("386"), "x-1-cp312-cp312-manylinux1_i686.whl"),
        (target("s390x"), "x-1-py3-none-any.whl"),
        (target(libc=""), "x-1-py3-none-any.whl"),
    ],
)  # fmt: skip
def test_the_wheel_that_fits_best_is_taken(where: Target, best: str) -> None:
    names = [
        "x-1-cp312-cp312-macosx_11_0_arm64.whl",
        "x-1-cp312-cp312-win_amd64.whl",
        "x-1-cp312-cp312-manylinux_2_28_x86_64.whl",
        "x-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "x-1-cp38-abi3-manylinux2014_x86_64.whl",
        "x-1-cp313-cp313t-manylinux_2_17_x86_64.whl",
        "x-1-cp312-cp312-musllinux_1_1_x86_64.whl",
        "x-1-cp312-cp312-manylinux2014_aarch64.whl",
        "x-1-cp312-cp312-linux_armv7l.whl",
        "x-1-cp312-cp312-manylinux1_i686.whl",
        "x-1-py3-none-any.whl",
        "x-1.tar.gz",
    ]
    assert taken(names, where) == best


@given(st.randoms(use_true_random=False))
def test_order_in_the_lock_makes_no_difference(chance: random.Random) -> None:
    names = [
        "x-1-2-py3-none-any.whl",
        "x-1-10-py3-none-any.whl",
        "x-1-10a-py3-none-any.whl",
        "x-1-py3-none-any.whl",
        "x-1-py2.py3-none-any.whl",
        "not a wheel.whl",
    ]
    chance.shuffle(names)
    assert taken(names, target()) == "x-1-10a-py3-none-any.whl"


def test_source_is_taken_only_where_it_is_allowed_and_nothing_fits() -> None:
    names = ["x-1.zip", "x-1.tar.gz", "x-1-cp312-cp312-win_amd64.whl"]
    assert taken(names, target()) is None
    assert taken(names, target(), source=True) == "x-1.tar.gz"
    assert taken([*names, "x-1-py3-none-any.whl"], target(), source=True) == "x-1-py3-none-any.whl"
    given = lock(package("a-b", "1", "a_b-1.tar.gz"))
    packages = {target(): given.packages}
    for allowed in ("A_b", ALL):
        (choice,) = choose_files(given, packages, sdists=[allowed])[target()]
        assert str(choice) == "a_b-1.tar.gz"
    with pytest.raises(RequestError):
        choose_files(given, packages, sdists=["other"])


def test_what_is_no_file_of_an_index_is_passed_on() -> None:
    folder = Package(name="own", origin=Origin("directory", "."))
    assert choose_files(lock(folder), {MUSL: [folder]}) == {MUSL: [Choice(folder, None)]}


def test_what_is_from_version_control_has_no_hash() -> None:
    origin = Origin("vcs", "https://me:secret@code.example/own", "c0ffee")
    package = Package(name="own", origin=origin)
    with pytest.raises(RequestError, match="from version control") as caught:
        choose_files(lock(package), {MUSL: [package]})
    assert "secret" not in str(caught.value)


def test_a_file_of_another_package_is_refused() -> None:
    for name in ("evil-1.0-py3-none-any.whl", "a-2.0-py3-none-any.whl"):
        wrong = package("a", "1.0", name)
        with pytest.raises(RequestError, match="which it is not"):
            choose_files(lock(wrong), {target(): [wrong]})


@pytest.mark.parametrize(
    ("stated", "named", "same"),
    [
        ("1.0", "1.0.0", True),
        ("1.0", "1.0+cpu", True),
        ("1.0.0", "1.0+cpu", True),
        ("1.0+cpu", "1.0+cpu", True),
        ("1.0+ubuntu.1", "1.0+ubuntu_1", True),
        ("1.0+cpu", "1.0", False),
        ("1.0+cpu", "1.0+cu121", False),
        ("1.0rc1", "1.0", False),
    ],
)
def test_a_local_label_counts_where_the_lock_states_one(
    stated: str, named: str, same: bool
) -> None:
    choice = package("a", stated, f"a-{named}-py3-none-any.whl")
    with contextlib.nullcontext() if same else pytest.raises(RequestError, match="it is not"):
        assert choose_files(lock(choice), {target(): [choice]})
    # pip compares so, too: `==` of what is stated with what is found
    assert SpecifierSet(f"=={stated}").contains(named.replace("_", "."), prereleases=True) is same


# refused


def refusal(names: list[str], *targets: Target) -> tuple[str, list[str]]:
    wrong = package("x", "1", *names)
    with pytest.raises(RequestError) as caught:
        choose_files(lock(wrong), {each: [wrong] for each in targets})
    (problem,) = caught.value.problems
    return problem.message, (problem.help or "").splitlines()


WHEELS = [
    "x-1-cp312-cp312-manylinux_2_28_x86_64.whl",
    "x-1-cp312-cp312-musllinux_1_2_aarch64.whl",
    "x-1-cp39-abi3-manylinux2014_s390x.whl",
    "x-1-cp311-cp311-manylinux2014_riscv64.whl",
    "x-1-cp312-cp312-win32.whl",
    "x-1.tar.gz",
]


def test_a_refusal_tells_what_there_is_and_the_ways_out() -> None:
    message, lines = refusal(WHEELS, target("arm/v7"), target("ppc64le"))
    assert message == "x 1 has no wheel for linux/arm/v7, linux/ppc64le"
    assert lines[0] == (
        "for Python 3.12 there are wheels for linux/amd64 (glibc 2.28), linux/arm64 (musl 1.2), "
        "linux/s390x (glibc 2.17)"
    )
    assert "leave the platform out" in lines[1]
    assert lines[-1] == 'those that are pure Python may be built: sdists = ["x"]'


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (target(libc_version=(2, 27)), "linux/amd64: wheels need glibc 2.28, but the base image has 2.27"),
        (MUSL, "linux/amd64: wheels for glibc only, but the base image has musl"),
        (target("arm64"), "linux/arm64: wheels for musl only, but the base image has glibc"),
        (target("riscv64"), "linux/riscv64: wheels for Python 3.11, but not for 3.12"),
        (target("s390x", "3.13.0", threaded=True), "linux/s390x: wheels for Python 3.9+, but not for 3.13t"),
        (target("s390x", "3.8.1"), "linux/s390x: wheels for Python 3.9+, but not for 3.8"),
        (target(libc=""), "linux/amd64: compiled wheels need a libc, and the base image has none"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(where: Target, reason: str) -> None:
    assert refusal(WHEELS, where)[1][0] == reason


def test_without_any_wheel_that_is_said() -> None:
    _, lines = refusal(["x-1.tar.gz"], target())
    assert lines[0] == "it has no wheels for Python 3.12 on Linux"


def test_refusals_of_all_packages_and_platforms_come_together() -> None:
    packages = [package("x", "1", *WHEELS), package("y", "1", "y-1-cp311-cp311-win32.whl")]
    targets = [target(arch, "3.10.1") for arch in ARCHITECTURES]
    with pytest.raises(RequestError) as caught:
        choose_files(lock(*packages), dict.fromkeys(targets, packages))
    x, y = caught.value.problems
    assert "linux/s390x" not in x.message
    assert all(arch in y.message for arch in ARCHITECTURES)
    assert "leave the platform out" not in (x.help or "")
    assert "leave the platform out" in (y.help or "")


MANY = ".".join(f"a{number}" for number in range(99))


@pytest.mark.parametrize(
    "name",
    [
        f"demo-{'9' * 5000}-py3-none-any.whl",
        f"demo-1.0-{MANY}-{MANY}-any.whl",
        "demo.whl",
    ],
)
def test_names_that_take_forever_to_understand_are_no_names(name: str) -> None:
    assert parse_wheel_name(name) is None
