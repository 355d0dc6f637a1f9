"""Checks between wheels: files in one place, and whether compiled files will load."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.elf import build_library
from fixtures.wheelmaker import Made
from imagist.errors import InputError
from imagist.packages.wheel.collisions import check_collisions
from imagist.packages.wheel.elfcheck import check_lookups, check_objects
from imagist.packages.wheel.facts import FileFact, ObjectFact, WheelFacts
from imagist.packages.wheel.requires import check_requires
from imagist.packages.wheel.target import marker_environment
from imagist.rootfs.linkage import MACHINES, Linkage
from packages.wheel.opening import facts
from packages.wheel.targets import target


def made(name: str, files: dict[str, bytes | str]) -> Made:
    return Made(name=name, files=files)


def test_the_same_bytes_are_no_collision(tmp_path: Path) -> None:
    wheels = [facts(made(name, {"ns/__init__.py": "x"}), tmp_path) for name in ("a", "b")]
    assert check_collisions(wheels) == []


def test_other_bytes_are_told_with_both_names(tmp_path: Path) -> None:
    files = {f"ns/{number}.py": "" for number in range(5)}
    one = facts(made("a", dict.fromkeys(files, "x")), tmp_path)
    other = facts(made("b", dict.fromkeys(files, "y")), tmp_path)
    with pytest.raises(InputError) as caught:
        check_collisions([one, other])
    assert len(caught.value.problems) == 1
    assert "a 1.0 and b 1.0 both install" in str(caught.value)
    assert "and 2 more" in str(caught.value)


def test_a_file_and_a_folder_collide(tmp_path: Path) -> None:
    wheels = [
        facts(made("a", {"x": "file"}), tmp_path),
        facts(made("b", {"x/y.py": ""}), tmp_path),
    ]
    for order in (wheels, wheels[::-1]):
        with pytest.raises(InputError, match="a file of one, a folder of the other"):
            check_collisions(order)


def test_cases_are_warned_of(tmp_path: Path) -> None:
    wheels = [facts(made("a", {"X.py": ""}), tmp_path), facts(made("b", {"x.py": ""}), tmp_path)]
    assert len(check_collisions(wheels)) == 1


def test_what_is_required_and_not_there_is_told_once(tmp_path: Path) -> None:
    requires = [
        "B.c>7",
        "absent (>=1)",
        "other; sys_platform == 'win32'",
        "optional; extra == 'x'",
        "?",
    ]
    one = facts(Made(name="a", requires=requires), tmp_path)
    two = facts(Made(name="b_c", requires=["absent"]), tmp_path)
    found = check_requires([one, two], marker_environment(target()))
    assert found == ["a 1.0 requires `absent`, which the lock does not bring"]


def library(
    name: str,
    path: str,
    *needed: str,
    arch: str = "amd64",
    soname: str = "",
    runpath: tuple[str, ...] = (),
) -> WheelFacts:
    machine, bits, little = MACHINES[arch]
    linkage = Linkage(machine, bits, little, soname, needed, runpath)
    return WheelFacts(name, "1", (FileFact(path, 0, b""),), (ObjectFact(path, linkage),))


def test_libraries_of_the_base_and_the_loader() -> None:
    wheels = [library("a", "s/a.so", "libc.so.6", "ld-linux-x86-64.so.2")]
    assert check_objects(wheels, "amd64", {"libc.so.6"}) == []
    assert check_objects(wheels, "amd64", None) == []
    with pytest.raises(InputError, match=r"a 1 needs libc\.so\.6, which neither"):
        check_objects(wheels, "amd64", set())


def test_a_missing_library_names_its_package() -> None:
    with pytest.raises(InputError) as caught:
        check_objects([library("a", "s/a.so", "libstdc++.so.6")], "amd64", {"libc.so.6"})
    assert "libstdc++6" in str(caught.value.problems[0].help)
    with pytest.raises(InputError) as caught:
        check_objects(
            [library("a", "s/a.so", "libown.so.1")], "amd64", set(), "packages: {}".format
        )
    [problem] = caught.value.problems
    assert problem.help == "add the package that has it to the base: packages: ..."


def test_vendored_libraries_are_found_by_runpath() -> None:
    one = library("a", "s/a/a.so", "libx-1.so", runpath=("$ORIGIN/../a.libs",))
    vendored = library("a", "s/a.libs/libx-1.so", soname="libx-1.so")
    assert check_objects([one, vendored], "amd64", set()) == []


def test_vendored_libraries_find_each_other() -> None:
    """Only the first has a path to the folder, and it holds for what that loads (RPATH)."""
    one = library("a", "s/a.libs/liba.so", "libb.so", soname="liba.so")
    other = library("a", "s/a.libs/libb.so", soname="libb.so")
    assert check_objects([one, other], "amd64", set()) == []


def test_a_library_of_another_wheel_that_is_not_pointed_to_is_a_warning() -> None:
    """As the CUDA wheels of PyTorch have it: they are loaded first, from Python."""
    one = library("a", "s/a/a.so", "libcublas.so.12")
    other = library("b", "s/b/lib/libcublas.so.12", soname="libcublas.so.12")
    (warning,) = check_objects([one, other], "amd64", set())
    assert "b 1 has" in warning


@pytest.mark.parametrize("architecture", ["arm64", "386", "s390x"])
def test_another_machine_is_refused(architecture: str) -> None:
    with pytest.raises(InputError, match=f"compiled for amd64, not for {architecture}"):
        check_objects([library("a", "s/a.so")], architecture, None)


def test_wheels_with_files_for_many_machines_need_one_that_fits() -> None:
    one, other = library("a", "s/x.so"), library("a", "s/y.so", "libarm.so", arch="arm64")
    both = WheelFacts("a", "1", one.files + other.files, one.objects + other.objects)
    assert check_objects([both], "amd64", set()) == []


def test_real_elf_files(tmp_path: Path) -> None:
    wheel = facts(made("a", {"a.so": build_library("aarch64", "liba.so")}), tmp_path)
    assert check_objects([wheel], "arm64", set()) == []
    with pytest.raises(InputError, match="compiled for arm64"):
        check_objects([wheel], "amd64", set())


def test_libraries_that_modules_look_for_are_seen_in_their_text(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "a.py": 'import ctypes.util\nfound = ctypes.util.find_library("pq")\n',
        "b.py": "x = find_library( 'magic' ) or find_library('c')\n",
        "c.py": "def find_library(name): ...\nfind_library(name)\n" + "#" * 100_000,
        "d.txt": 'find_library("text")\n',
        "e.py": "x" * 3_000_000 + '\nfind_library("late")\n',
    }
    wheel = facts(made("a", files), tmp_path)
    assert wheel.lookups == ("c", "late", "magic", "pq")
    provided = {"libpq.so.5", "libpq.so.5.15", "libc.so.6", "libmagicians.so.1", "liblate.so"}
    said = check_lookups([wheel], provided, "packages: {}".format)
    assert [line.partition(" by ")[0] for line in said] == [
        "a 1.0 looks for liblate.so",
        "a 1.0 looks for libpq.so.5",
    ]
    assert said[0].endswith("to the base (Debian: libc-bin): packages: libc-bin")
    assert check_lookups([wheel], {"libz.so.1"}) == []
