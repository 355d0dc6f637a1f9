"""Sources: unpacked to nowhere else, built whole, and taken only for what the lock means."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.wheelmaker import Member, build_zip
from imagist.errors import ImagistError, InputError, Untrusted
from imagist.lastmile import unpack
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.sources import SourceBuilder
from imagist.lastmile.unpack import unpack_source
from imagist.packages.wheel.choose import Choice
from imagist.packages.wheel.gather import Gathered
from imagist.packages.wheel.lock.model import File, Origin, Package
from imagist.store.store import Store
from lastmile.shop import BUILD, source_of
from lastmile.test_project import BACKEND, PROJECT, target

TOP = "x-1"


def archive(*members: tarfile.TarInfo | str) -> bytes:
    """A tar of links and of small files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as made:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = 0 if info.type != tarfile.REGTYPE else 4
            made.addfile(info, io.BytesIO(b"evil"))
    return data.getvalue()


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def deceiving_chain() -> bytes:
    """Links so long that the system cannot tell where they lead, and filters believe it."""
    long, path, members = "d" * 247, "", []
    steps = "abcdefghijklmnop"
    for step in steps:
        members += [folder(f"{TOP}/{path}{long}"), link(f"{TOP}/{path}{step}", long)]
        path += f"{long}/"
    chain = f"{'/'.join(steps)}/{'l' * 254}"
    members += [link(f"{TOP}/{chain}", "../" * len(steps)), link(f"{TOP}/e", f"{chain}/../../..")]
    return archive(*members, f"{TOP}/e/outside")


def method(number: int) -> bytes:
    return build_zip([Member(f"{TOP}/a", b"x", b"x", number)])


DAMAGED = archive(*(f"{TOP}/{number}" for number in range(99)))
HOSTILE: dict[str, tuple[str, bytes, type[ImagistError]]] = {
    "path outside": ("tar.gz", archive("../outside"), Untrusted),
    "two folders": ("tar.gz", archive("a/x", "b/x"), InputError),
    "nothing": ("tar.gz", archive(), InputError),
    "chain of links": ("tar.gz", deceiving_chain(), Untrusted),
    "behind a link": ("tar.gz", archive(f"{TOP}/l/x", link(f"{TOP}/l", ".")), Untrusted),
    "link outside": ("tar.gz", archive(f"{TOP}/a", link(f"{TOP}/l", "../../o")), Untrusted),
    "link through a link": (
        "tar.gz",
        archive(f"{TOP}/a", link(f"{TOP}/b/l", ".."), link(f"{TOP}/m", "b/l/../..")),
        Untrusted,
    ),
    "absolute link": ("tar.gz", archive(f"{TOP}/a", link(f"{TOP}/l", "/etc")), Untrusted),
    "link to nothing": (
        "tar.gz",
        archive(f"{TOP}/a", link(f"{TOP}/l", f"{TOP}/no", tarfile.LNKTYPE)),
        InputError,
    ),
    "device": ("tar.gz", archive(f"{TOP}/a", link(f"{TOP}/l", "", tarfile.CHRTYPE)), Untrusted),
    "cut off": ("tar.gz", DAMAGED[: len(DAMAGED) // 2], InputError),
    "no archive": ("tar.gz", b"not one", InputError),
    "zip outside": ("zip", build_zip([Member("../outside")]), Untrusted),
    "encrypted zip": ("zip", build_zip([Member(f"{TOP}/a", flags=0x801)]), Untrusted),
    "unknown method": ("zip", method(99), Untrusted),
    "damaged zip": ("zip", build_zip([Member(f"{TOP}/a", b"x" * 99, b"\xff" * 9)]), Untrusted),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sources_are_not_unpacked(name: str, tmp_path: Path) -> None:
    form, data, error = HOSTILE[name]
    made = tmp_path / f"{TOP}.{form}"
    made.write_bytes(data)
    place = tmp_path / "in" / "place"
    place.mkdir(parents=True)
    with pytest.raises(error):
        unpack_source(made, made.name, place)
    for above in (tmp_path, tmp_path / "in", tmp_path.parent):
        assert not (above / "outside").exists()


def test_honest_links_are_unpacked(tmp_path: Path) -> None:
    made = tmp_path / f"{TOP}.tar.gz"
    links = link(f"{TOP}/d/l", "../a"), link(f"{TOP}/h", f"{TOP}/a", tarfile.LNKTYPE)
    made.write_bytes(archive(f"{TOP}/a", *links))
    (tmp_path / "place").mkdir()
    root = unpack_source(made, made.name, tmp_path / "place")
    assert [(root / name).read_bytes() for name in ("a", "d/l", "h")] == [b"evil"] * 3


def test_what_would_fill_the_disk_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST", 5)
    made = tmp_path / f"{TOP}.tar.gz"
    made.write_bytes(archive(f"{TOP}/a", f"{TOP}/b"))
    with pytest.raises(Untrusted, match="unpacks to more"):
        unpack_source(made, made.name, tmp_path / "place")


Take = Callable[..., dict[str, bytes]]


@pytest.fixture
def take(
    store: Store,
    environments: BuildEnvironments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Take:
    """Builds a package of a lock; the files of its wheel."""
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    gathered = Gathered(tmp_path / "pylock.toml", {})
    builder = SourceBuilder(store, environments, gathered)

    def build(
        source: bytes | str, name: str, version: str = "", sub: str = ""
    ) -> dict[str, bytes]:
        file = origin = None
        if isinstance(source, str):
            origin = Origin("directory", source)
        else:
            with store.writer() as blob:
                blob.write(source)
                blob.commit()
            sha256 = hashlib.sha256(source).hexdigest()
            file = File(f"{name}-{version}.tar.gz", sha256, len(source), "elsewhere")
        package = Package(name=name, version=version, origin=origin, subdirectory=sub)
        wheel = builder.wheel(Choice(package, file), target())
        with zipfile.ZipFile(io.BytesIO(store.read(wheel.digest))) as found:
            return {member: found.read(member) for member in found.namelist()}

    return build


def packing(name: str, version: str = "1.0") -> dict[str, str]:
    """A project whose backend packs what it sees."""
    backend = BACKEND.replace("app-1.0", f"{name}-{version}")
    return {"pyproject.toml": PROJECT, "backend.py": backend, "code.py": f"# {name}\n"}


def below(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


def test_packages_of_one_archive_are_told_apart(take: Take) -> None:
    members = {**below("all/one", packing("one")), **below("all/two", packing("two"))}
    data = source_of(members)
    for name in ("one", "two"):
        assert take(data, name, "1.0", name)["app/code.py"] == f"# {name}\n".encode()


def test_folders_of_one_name_are_told_apart(take: Take, tmp_path: Path) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        for name, text in {**packing("app"), "code.py": folder}.items():
            (tmp_path / folder / name).write_text(text)
        assert take(folder, "app")["app/code.py"] == folder.encode()


def test_a_source_that_builds_something_else_is_refused(take: Take, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, text in packing("other").items():
        (tmp_path / "folder" / name).write_text(text)
    later = source_of(below("app-1.0", packing("app", "2.0")))
    for source, version in ((later, "1.0"), ("folder", "")):
        with pytest.raises(InputError, match="which is another package or version"):
            take(source, "app", version)
    assert take(source_of(below("app-1.0", packing("app"))), "app", "1.0")


def test_a_subdirectory_lies_in_its_source(take: Take, tmp_path: Path) -> None:
    for name, text in packing("app").items():
        (tmp_path / name).write_text(text)
    data = source_of(below("app-1.0", packing("app")))
    for outside in ("../..", str(tmp_path)):
        with pytest.raises(Untrusted, match="outside of its source"):
            take(data, "app", "1.0", outside)


def test_nothing_of_a_source_is_ignored(take: Take) -> None:
    """Its author chose what is in it, for his own ends; a project's image has other exceptions."""
    more = {".dockerignore": "*.txt\n", "data.txt": "data", "app.egg-info/SOURCES.txt": "data.txt"}
    found = take(source_of(below("app-1.0", {**packing("app"), **more})), "app", "1.0")
    assert {f"app/{name}" for name in more} <= found.keys()


def test_setuptools_finds_what_its_own_list_names(take: Take, tmp_path: Path) -> None:
    """Without it, a source has nothing that says which data belongs to a package."""
    probe = ["pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path / "probe")]
    if subprocess.run([*probe, "setuptools"], capture_output=True).returncode:
        pytest.skip("needs a package index")
    system = BUILD.replace("[]", '["setuptools"]').replace('"backend"', '"setuptools.build_meta"')
    system = system.replace('backend-path = ["."]\n', "")
    files = {
        "pyproject.toml": f'{system}[project]\nname = "beta"\nversion = "1.0"\n',
        "beta/__init__.py": "",
        "beta/data.txt": "data",
        "beta.egg-info/SOURCES.txt": "beta/__init__.py\nbeta/data.txt\n",
    }
    assert take(source_of(below("beta-1.0", files)), "beta", "1.0")["beta/data.txt"] == b"data"
