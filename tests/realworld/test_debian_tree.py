"""Images of real .debs beside what mmdebstrap unpacks, from the apt sources of this machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from build.layering import read_layer
from imagist.build.compose import compose
from imagist.build.contents import StoreContents
from imagist.build.formats.deb.packaging import DATABASES, DebPackaging, DebState
from imagist.build.layers import LayerBuilder
from imagist.declaration.model import Declaration
from imagist.oci.image import Layer
from imagist.packages.deb.archive import DebFiles, verify_deb
from imagist.rootfs.flatten import flatten
from imagist.store.store import Store
from support import needs

PACKAGES = "base-files,base-passwd,ca-certificates,nginx-common,python3-minimal,tzdata,xz-utils"
EPOCH = 1_700_000_000

ONLY_THEIRS = (
    "dev",
    "etc/apt",
    "etc/fstab",
    "etc/hostname",
    "etc/resolv.conf",
    "var/cache/apt",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log/apt",
)
"""What mmdebstrap needs to unpack with apt and dpkg."""

ONLY_OURS = (
    "dev", "etc", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr/local",
    "usr/share/info/dir", "usr/lib/ssl", "var/lib/dpkg/status.d", "var/lib/dpkg/arch-native",
    "usr/bin", "usr/sbin/rmt", "usr/share/man", "var",
)  # fmt: skip
"""Where scripts put files, which nobody runs in either tree; imagist does what they would do."""

CHANGED_BY_SCRIPTS = {
    "etc/ca-certificates", "etc/ssl/certs", "run/lock", "tmp", "usr/local", "var/lock", "var/log/nginx",
    "var/mail", "var/run", "var/tmp", "proc", "sys", "run",
}  # fmt: skip
"""Folders whose mode, owner or kind a script, or an image's own skeleton, decides."""


class Seen(NamedTuple):
    kind: bytes
    mode: int
    owner: tuple[int, int]
    mtime: int
    link: str
    content: str


def read_tar(path: Path) -> dict[str, Seen]:
    with tarfile.open(path) as tar:
        return dict(_read(tar))


def _read(tar: tarfile.TarFile) -> Iterator[tuple[str, Seen]]:
    for info in tar:
        path = info.name.removeprefix(".").strip("/")
        stream = tar.extractfile(info) if info.isreg() or info.islnk() else None
        content = hashlib.sha256(stream.read()).hexdigest() if stream else ""
        kind = tarfile.REGTYPE if info.islnk() else info.type
        link = info.linkname if info.issym() else ""
        mtime = 0 if info.isdir() or info.issym() else int(info.mtime)
        mode = 0 if info.issym() else info.mode
        yield path, Seen(kind, mode, (info.uid, info.gid), mtime, link, content)


_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE,
}


def see(layers: list[Layer]) -> dict[str, Seen]:
    """What a runtime sees of layers."""
    tree = flatten(read_layer(layer) for layer in layers)
    found = {}
    for node in tree:
        path, entry = node.entry.path, node.entry
        if entry.kind == "hardlink":
            target = tree.get(entry.link)
            assert target is not None
            entry = target.entry
        content = hashlib.sha256(entry.data).hexdigest() if entry.kind == "file" else ""
        mtime = 0 if entry.kind in {"directory", "symlink"} else entry.mtime
        mode = 0 if entry.kind == "symlink" else entry.mode
        found[path] = Seen(
            _TYPES[entry.kind], mode, (entry.uid, entry.gid), mtime, entry.link, content
        )
    return found


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The tar that mmdebstrap makes, and the packages in it."""
    if os.geteuid() != 0:
        pytest.skip("mmdebstrap needs root here")
    folder = tmp_path_factory.mktemp("mmdebstrap")
    sources = [str(path) for path in Path("/etc/apt").glob("sources.list.d/*.sources")]
    release = dict(
        line.strip().split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    hook = f'cp "$1"/var/cache/apt/archives/*.deb {folder}'
    command = [
        "mmdebstrap", "--mode=root", "--variant=extract", f"--include={PACKAGES}",
        f"--extract-hook={hook}", release["VERSION_CODENAME"], str(folder / "tree.tar"), *sources,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mmdebstrap cannot work here: {done.stderr[-200:]}")
    return folder / "tree.tar", sorted(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("store")) as opened:
        yield opened


def verify(path: Path, store: Store) -> DebFiles:
    with path.open("rb") as stream:
        return verify_deb(stream, store, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@needs("mmdebstrap")
@pytest.mark.parametrize("strategy", ["package", "single"])
def test_the_tree_is_mmdebstraps(
    theirs: tuple[Path, list[Path]], store: Store, strategy: str
) -> None:
    tar, paths = theirs
    packages = [verify(path, store) for path in paths]
    packing = DebPackaging(DebState("amd64", pycache=False))
    composed = compose(Declaration(), packages, StoreContents(store), packing, epoch=EPOCH)
    layers = LayerBuilder(store).build(
        composed.tree, packages, composed.merged, strategy=strategy, budget=60
    )
    wanted, found = read_tar(tar), see([built.layer for built in layers])

    missing = [
        path for path in wanted if path not in found and path and not is_below(path, ONLY_THEIRS)
    ]
    extra = [path for path in found if path not in wanted and not is_below(path, ONLY_OURS)]
    assert (missing, extra) == ([], [])
    packed = {entry.path for files in packages for entry in files.entries}
    differing = {
        path: (wanted[path], found[path])
        for path in wanted.keys() & found.keys() & packed
        if wanted[path] != found[path] and path not in CHANGED_BY_SCRIPTS
    }
    assert differing == {}


def is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


@needs("dpkg-deb")
def test_databases_list_what_dpkg_deb_lists(
    theirs: tuple[Path, list[Path]], store: Store, tmp_path: Path
) -> None:
    paths = theirs[1]
    packages = [verify(path, store) for path in paths]
    for files, path in zip(packages, paths, strict=True):
        fields = subprocess.run(
            ["dpkg-deb", "--field", str(path)], capture_output=True, check=True
        )
        assert fields.stdout.decode() == files.control
    for database in DATABASES:
        state = DebState("amd64", database=database, pycache=False)
        tree = compose(
            Declaration(), packages, StoreContents(store), DebPackaging(state), epoch=EPOCH
        ).tree
        root = tmp_path / database
        for node in tree.below("var/lib/dpkg"):
            if node.entry.kind == "file" and not node.owner:
                place = root / node.entry.path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(node.entry.data)
        if database == "dpkg":
            command = [
                "dpkg-query",
                f"--admindir={root}/var/lib/dpkg",
                "-W",
                "-f",
                "${Package} ${db:Status-Status}\n",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            names = sorted(files.package.name for files in packages)
            assert done.stdout.splitlines() == [f"{name} installed" for name in names]
            audit = ["dpkg", f"--admindir={root}/var/lib/dpkg", "--audit"]
            assert subprocess.run(audit, capture_output=True, text=True, check=True).stdout == ""
        else:
            folder = root / "var/lib/dpkg/status.d"
            assert {p.name for p in folder.iterdir() if p.suffix != ".md5sums"} == {
                files.package.name for files in packages
            }
