"""The Python of an image is told from its layers, whoever built it, and never by running it."""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from imagist.errors import RequestError
from imagist.inspection.python import look_for_python
from imagist.oci.derive import MemoryImage
from imagist.oci.platform import Platform
from imagist.packages.wheel.target import Target, Wishes
from imagist.rootfs.entry import Entry
from imagist.store.store import Store
from inspection.described import file, folder, hardlink, image, layer, symlink

AMD64 = Platform("amd64")
NONE = Wishes()
APK = "C:Q1\nP:python3\nV:3.12.8-r1\n\nC:Q1\nP:musl\nV:1.2.5-r8\n\n"
DPKG = (
    "Package: python3.11-minimal\nStatus: install ok installed\nVersion: 3.11.2-6+deb12u3\n\n"
    "Package: libc6\nStatus: install ok installed\nMulti-Arch: same\nVersion: 2.36-9+deb12u9\n\n"
    "Package: python3.12-minimal\nStatus: deinstall ok config-files\nVersion: 3.12.1-1\n"
)
GLIBC = b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_PRIVATE\0"


def python(
    minor: str = "3.12", prefix: str = "usr", *, threaded: bool = False, binary: bytes = b"\x7fELF"
) -> list[Entry]:
    """An interpreter with its library."""
    name = f"python{minor}" + "t" * threaded
    return [
        file(f"{prefix}/bin/{name}", binary, 0o755),
        file(f"{prefix}/lib/{name}/os.py"),
    ]


def target(*layers: Sequence[Entry], wishes: Wishes = NONE, env: Sequence[str] = ()) -> Target:
    return look_for_python(made(*layers, env=env), "the base", AMD64, wishes=wishes).target


def made(*layers: Sequence[Entry], env: Sequence[str] = ()) -> MemoryImage:
    return image(*(layer(*entries) for entries in layers), Env=list(env))


ALPINE = [
    file("lib/apk/db/installed", APK),
    file("lib/ld-musl-x86_64.so.1"),
    *python(),
    symlink("usr/bin/python3", "python3.12"),
]
DEBIAN = [
    symlink("bin", "usr/bin"),
    symlink("lib64", "usr/lib64"),
    file("var/lib/dpkg/status", DPKG),
    file("usr/lib64/ld-linux-x86-64.so.2"),
    file("usr/lib/x86_64-linux-gnu/libc.so.6", GLIBC),
    *python("3.11"),
    symlink("usr/bin/python3", "python3.11"),
]


def test_alpine() -> None:
    found = target(ALPINE)
    assert (found.python, found.abi, found.interpreter) == (
        "3.12.8",
        "cp312",
        "/usr/bin/python3.12",
    )
    assert (found.libc, found.libc_version) == ("musl", (1, 2))
    assert found.platform == AMD64


def test_debian() -> None:
    found = target(DEBIAN)
    assert (found.python, found.interpreter) == ("3.11.2", "/usr/bin/python3.11")
    assert (found.libc, found.libc_version) == ("glibc", (2, 36))


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("install ok installed", True),
        ("hold ok installed", True),
        ("install ok unpacked", False),
        ("install reinstreq half-installed", False),
        ("deinstall ok config-files", False),
        ("purge ok not-installed", False),
    ],
)
def test_only_what_dpkg_calls_installed_counts(status: str, counts: bool) -> None:
    stanza = f"Package: libc6\nStatus: {status}\nVersion: 2.39-1\n\n"
    database = f"{DPKG}\n{stanza}"
    entries = [each for each in DEBIAN if each.path != "var/lib/dpkg/status"]
    found = target([file("var/lib/dpkg/status", database), *entries])
    assert found.libc_version == ((2, 39) if counts else (2, 36))


def test_distroless_has_its_database_in_pieces() -> None:
    pieces = [
        file("var/lib/dpkg/status.d/python3", "Package: python3.11-minimal\nVersion: 3.11.2-6\n"),
        file("var/lib/dpkg/status.d/libc6", "Package: libc6\nVersion: 2.36-9\n"),
        file("var/lib/dpkg/status.d/libc6.md5sums", "Package: libc6\nVersion: 9.9-9\n"),
    ]
    found = target([*pieces, file("lib64/ld-linux-x86-64.so.2"), *python("3.11")])
    assert (found.python, found.libc_version) == ("3.11.2", (2, 36))


def test_a_python_beside_the_distributions_states_its_own_version() -> None:
    header = file("usr/local/include/python3.13/patchlevel.h", '#define PY_VERSION   "3.13.1+"\n')
    above = [header, *python("3.13", "usr/local"), symlink("usr/local/bin/python3", "python3.13")]
    found = target(DEBIAN, above, env=["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.13.9"])
    assert (found.python, found.interpreter) == ("3.13.1", "/usr/local/bin/python3.13")
    assert target(DEBIAN, above, env=["PATH=/usr/bin"]).python == "3.11.2"


def test_build_details_are_believed_first() -> None:
    details = (
        '{"implementation": {"version": {"major": 3, "minor": 14, "micro": 0, '
        '"releaselevel": "candidate", "serial": 2}}}'
    )
    entries = python("3.14", "opt/py", threaded=True)
    entries.append(file("opt/py/lib/python3.14t/build-details.json", details))
    found = target(DEBIAN, entries, wishes=Wishes(interpreter="/opt/py/bin/python3.14t"))
    assert (found.python, found.abi) == ("3.14.0rc2", "cp314t")
    assert found.site_packages == "/opt/venv/lib/python3.14t/site-packages"


def test_without_any_text_the_binaries_are_read() -> None:
    bare = [
        file("lib64/ld-linux-x86-64.so.2"),
        file("lib/x86_64-linux-gnu/libc.so.6", GLIBC),
        *python(binary=b"\x7fELF\x003.12\x003.12.4\x00python\x00"),
    ]
    found = target(bare)
    assert (found.python, found.libc_version) == ("3.12.4", (2, 34))
    banner = b"GNU C Library (GNU libc) stable release version 2.39.\n"
    libc = [file("lib/x86_64-linux-gnu/libc.so.6", GLIBC + banner)]
    assert target(bare, libc).libc_version == (2, 39)
    musl = [
        file("lib/ld-musl-x86_64.so.1", b"\0musl libc (x86_64)\n\x001.2.4_git20230717\x00"),
        *python(),
    ]
    found = target(musl, env=["PYTHON_VERSION=3.12.2"])
    assert (found.python, found.libc, found.libc_version) == ("3.12.2", "musl", (1, 2))


def test_this_machines_own_python_and_libc_are_recognised() -> None:
    minor = "{}.{}".format(*sys.version_info)
    interpreter = Path(sys.base_prefix, "bin", f"python{minor}").resolve()
    library = Path(sysconfig.get_config_var("LIBDIR"), str(sysconfig.get_config_var("INSTSONAME")))
    kind, version = platform.libc_ver()
    libc = next(iter(Path("/").glob("lib/*-linux-gnu/libc.so.6")), None)
    if kind != "glibc" or libc is None:
        pytest.skip("not a glibc system with multiarch folders")
    entries = [
        file("lib64/ld-linux-x86-64.so.2"),
        file(f"lib/{libc.parent.name}/libc.so.6", libc.read_bytes()),
        *python(minor, "usr/local", binary=interpreter.read_bytes()),
    ]
    if library.is_file():
        entries.append(file(f"usr/local/lib/{library.name}", library.read_bytes()))
    found = target(entries)
    assert found.python == platform.python_version()
    assert ".".join(map(str, found.libc_version)) == version


def test_a_static_image_has_no_libc() -> None:
    assert target(python(), env=["PYTHON_VERSION=3.12.2"]).libc == ""


def test_glibc_beside_musl_is_not_what_python_uses() -> None:
    assert target(ALPINE, [file("lib64/ld-linux-x86-64.so.2")]).libc == "musl"


def test_a_link_to_a_python_elsewhere_leads_to_where_its_library_is() -> None:
    entries = [
        *python("3.12", "opt/cpython"),
        file("opt/cpython/include/python3.12/patchlevel.h", '#define PY_VERSION "3.12.5"\n'),
        symlink("usr/local/bin/python3.12", "/opt/cpython/bin/python3.12"),
    ]
    assert target(entries).interpreter == "/opt/cpython/bin/python3.12"


def test_names_of_one_file_are_one_python() -> None:
    entries = [*ALPINE[:-1], hardlink("usr/bin/python3", "usr/bin/python3.12")]
    assert target(entries).interpreter == "/usr/bin/python3.12"


def test_the_wished_one_of_several() -> None:
    several = [*ALPINE, *python("3.11"), *python("3.13", threaded=True)]
    assert target(several).python == "3.12.8"
    env = ["PYTHON_VERSION=3.11.4"]
    assert target(several, wishes=Wishes(python="3.11"), env=env).python == "3.11.4"
    found = target(several, wishes=Wishes(python="3.13t"), env=["PYTHON_VERSION=3.13.0"])
    assert (found.abi, found.interpreter) == ("cp313t", "/usr/bin/python3.13t")
    ambiguous = [entry for entry in several if entry.path != "usr/bin/python3"]
    with pytest.raises(RequestError, match=r"several Pythons: 3\.11 .*, 3\.12 .*, 3\.13t"):
        target(ambiguous)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(python="3.13"), "has 3.12 (/usr/bin/python3.12), but not the Python 3.13"),
        (Wishes(python="3.12.7"), "has Python 3.12.8, but 3.12.7 is asked for"),
        (Wishes(python="2.7"), "no version of Python"),
        (Wishes(libc="glibc 2.36"), "has musl 1.2, but glibc 2.36 is asked for"),
        (Wishes(libc="musl 1.1"), "has musl 1.2, but musl 1.1 is asked for"),
        (Wishes(libc="uclibc"), "is no libc"),
        (Wishes(interpreter="/opt/python3.12"), "no Python at /opt/python3.12 for linux/amd64"),
    ],
)
def test_a_wish_that_does_not_agree_is_refused(wishes: Wishes, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        target(ALPINE, wishes=wishes)
    assert said in str(caught.value)
    assert target(ALPINE, wishes=Wishes(python="3.12.8", libc="musl 1.2")).python == "3.12.8"


def test_a_wish_fills_in_what_cannot_be_seen() -> None:
    bare = [file("lib/ld-musl-x86_64.so.1"), *python()]
    with pytest.raises(RequestError, match="does not tell the exact version of its Python"):
        target(bare)
    with pytest.raises(RequestError, match="does not tell the version of its musl"):
        target(bare, wishes=Wishes(python="3.12.1"))
    assert target(bare, wishes=Wishes(python="3.12.1", libc="musl 1.2")).python == "3.12.1"


def test_an_image_without_python_is_refused_with_remedies() -> None:
    for entries in ([folder("usr")], [file("usr/bin/python3.12", mode=0o755)]):
        with pytest.raises(RequestError, match="has no Python for linux/amd64") as caught:
            target(entries)
        assert "add it to the packages" in (caught.value.problems[0].help or "")


def test_what_is_in_the_way_of_an_environment_is_remembered(tmp_path: Path) -> None:
    base = made(ALPINE, [symlink("opt/venv", "/etc")])
    with Store.open(tmp_path) as store:
        for _ in range(2):
            found = look_for_python(base, "b", AMD64, memo=store.memo)
            assert found.obstacles == {"opt/venv": "symlink"}


@pytest.mark.parametrize(
    ("base", "more", "finds"),
    [
        (DEBIAN, [], False),
        (
            DEBIAN,
            [folder("usr/sbin"), file("usr/sbin/ldconfig"), symlink("sbin", "usr/sbin")],
            True,
        ),
        (DEBIAN, [file("sbin/ldconfig")], True),
        (DEBIAN, [symlink("usr/bin/gcc", "gcc-12"), file("usr/bin/gcc-12")], True),
        (DEBIAN, [symlink("usr/bin/gcc", "nowhere")], False),
        (ALPINE, [], True),
    ],
)
def test_whether_libraries_are_found_by_name(
    base: list[Entry], more: list[Entry], finds: bool, tmp_path: Path
) -> None:
    with Store.open(tmp_path) as store:
        for _ in range(2):
            found = look_for_python(made(base, more), "b", AMD64, memo=store.memo)
            assert found.finds_libraries == finds


def test_the_answer_is_remembered(tmp_path: Path) -> None:
    base = made(ALPINE, [file("usr/lib/libz.so.1.3"), file("usr/lib/not.sol")])
    with Store.open(tmp_path) as store:
        first = look_for_python(base, "b", AMD64, memo=store.memo)
        assert first.libraries == {"ld-musl-x86_64.so.1", "libz.so.1.3"}
        blind = MemoryImage(base.raw_manifest, base.raw_config)
        again = look_for_python(blind, "b", AMD64, memo=store.memo)
        assert again == first
        with pytest.raises(RequestError):
            look_for_python(base, "b", AMD64, memo=store.memo, wishes=Wishes(python="3.11"))
