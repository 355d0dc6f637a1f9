"""What ELF files need to be loaded, compared with what readelf tells of real ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.elf import build_library, build_program
from imagist.rootfs import linkage
from imagist.rootfs.linkage import Linkage, LinkageScanner, read_linkage
from support import needs

PROGRAMS = [sys.executable, "/bin/sh", "/usr/bin/env"]


def _real_files() -> list[str]:
    import _ctypes

    import deflate._deflate
    import isal.igzip_lib

    modules = [_ctypes, isal.igzip_lib, deflate._deflate]
    return [str(module.__file__) for module in modules] + [p for p in PROGRAMS if Path(p).exists()]


def scan(data: bytes, step: int) -> Linkage | None:
    scanner = LinkageScanner()
    for at in range(0, len(data), step):
        scanner.feed(data[at : at + step])
    return scanner.finish()


@needs("readelf")
@pytest.mark.parametrize("path", _real_files())
def test_readelf_tells_the_same(path: str) -> None:
    said = subprocess.run(
        ["readelf", "-W", "-d", "-l", path], capture_output=True, text=True, check=True
    ).stdout
    found = read_linkage(Path(path).read_bytes())
    assert found is not None
    assert found.needed == tuple(re.findall(r"\(NEEDED\).*\[(.+)\]", said))
    assert [found.soname] == (re.findall(r"\(SONAME\).*\[(.+)\]", said) or [""])
    paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.+)\]", said)
    assert found.runpath == tuple(part for text in paths for part in text.split(":"))
    assert [found.interpreter] == (re.findall(r"interpreter: (.+)\]", said) or [""])


def test_pieces_do_not_matter() -> None:
    data = Path(_real_files()[1]).read_bytes()
    assert scan(data, 4097) == read_linkage(data)


def test_of_large_files_both_ends_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkage, "WHOLE", 1000)
    monkeypatch.setattr(linkage, "_END", 1 << 20)
    data = Path(_real_files()[1]).read_bytes()
    assert scan(data, 100) == read_linkage(data)


@pytest.mark.parametrize(
    ("arch", "name"), [("x86_64", "amd64"), ("s390x", "s390x"), ("armv7", "arm"), ("x86", "386")]
)
def test_machines(arch: str, name: str) -> None:
    library, program = (
        read_linkage(build_library(arch, "liba.so")),
        read_linkage(build_program(arch, "x")),
    )
    assert library is not None
    assert program is not None
    assert library.runs_on(name)
    assert program.runs_on(name)
    assert not library.runs_on("arm64")
    assert (library.soname, program.soname) == ("liba.so", "")


@pytest.mark.parametrize("size", range(0, 120, 7))
def test_what_is_cut_off_is_not_believed(size: int) -> None:
    assert read_linkage(build_library("x86_64", "liba.so")[:size]) is None


def test_addresses_outside_are_absent() -> None:
    data = bytearray(build_library("x86_64", "liba.so"))
    for at in range(64, len(data)):
        changed = bytes(data[:at]) + b"\xff" + bytes(data[at + 1 :])
        read_linkage(changed)  # whatever it finds, nothing is raised


def test_names_that_are_no_utf8_can_be_told_and_kept() -> None:
    found = read_linkage(build_library("x86_64", "libxx.so").replace(b"xx", b"\xff\xfe"))
    assert found is not None
    assert found.soname == r"lib\xff\xfe.so"


def test_one_name_is_read_once_and_many_are_bounded() -> None:
    """A megabyte of rows that all mean one long name was a gigabyte of names."""
    long = "x" * 4000
    needed = 1
    same = read_linkage(build_library("x86_64", long, more=[(needed, 1)] * 60_000))
    assert same is not None
    assert same.needed == (long,)
    others = [(needed, 1 + at) for at in range(3000)]
    found = read_linkage(build_library("x86_64", long, more=others))
    assert found is not None
    assert len(found.needed) == 512
