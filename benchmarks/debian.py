"""Images of .debs beside mmdebstrap: W38 and W156 as Debian has them.

Equal: the archive (a folder on this disk, one signed index), which packages come of it, that their
signatures and hashes are checked, and what remains: a gzip'd tar with both its digests. mmdebstrap
unpacks onto the disk and makes a plain tar, so a shell gives it sha256sum twice and gzip -1; the
rows "tar alone" are without these. Not equal: imagist does what maintainer scripts would have
done, writes a package database, and keeps what it verified; it does not unpack onto a disk.
mmdebstrap keeps nothing, so that doing it again takes it as long. The index names no dependencies:
W38 is not closed, and what is measured is not choosing.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from isal import igzip

from benchmarks import WORK
from benchmarks.builders import Output, find_imagist, read_layers
from benchmarks.measuring import Aim, Contestant, Heat, Row, Unavailable
from fixtures import debfile, debmaker
from realworld.workload import MERGED_USR, Name, download_debs
from support import find_tool

_SUITE = "duel"
_INDEX = "main/binary-amd64/Packages"
_LEFT_OUT = ("Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts")
_MADE = "usr/share/info/dir"
"""What a script of base-files makes below /usr; all else there is from packages."""
_PACK = "tee >(sha256sum > diff_id) | gzip -1 | tee >(sha256sum > digest) > layer.tar.gz"
_WAYS: Mapping[str, tuple[str, Output]] = {
    "imagist": ("", "archive"),
    "imagist single": ("layering: {strategy: single}\n", "archive"),
    "imagist layout": ("", "layout"),
}
_RIVAL, _TAR_ALONE = "mmdebstrap, gzip", "mmdebstrap, tar alone"


class Debs(Heat):
    """An image of a workload's .debs: cold (an empty store), or once more."""

    def __init__(self, name: Name, *, cold: bool) -> None:
        """`name`: of the workload."""
        self._name: Name = name
        self._cold = cold
        case = f"{name} of .debs {'cold' if cold else 'warm'}"
        self.rows: Sequence[Row] = (
            Row(case, "imagist", _RIVAL, Aim(ratio=2 if cold else 20)),
            Row(case, "imagist", _TAR_ALONE, quick=False),
            Row(f"{case}, single layer", "imagist single", _RIVAL, quick=False),
            Row(f"{case}, layout", "imagist layout", _RIVAL, quick=False),
        )

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Make the archive, and run each once."""
        place = WORK / f"{self._name}-debs"
        archive = place / "archive"
        packages = make_archive(self._name, archive)
        contestants = {}
        for name in names:
            folder = place / name.replace(", ", "-").replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            if name in _WAYS:
                contestants[name] = self._imagist(name, folder, archive, packages)
            else:
                contestants[name] = _mmdebstrap(name, folder, archive, packages)
            contestants[name].run()
        return contestants

    def _imagist(
        self, name: str, folder: Path, archive: Path, packages: Sequence[str]
    ) -> Contestant:
        layering, output = _WAYS[name]
        image = folder / ("image.tar" if output == "archive" else "image")
        (folder / "image.yaml").write_text(
            f"contents:\n  keyring: [{archive}/key.asc]\n"
            f"  repositories: ['deb {archive} {_SUITE} main']\n"
            f"  packages: [{', '.join(packages)}]\n  essential: none\n  pycache: false\n"
            f"archs: [amd64]\n{layering}"
        )
        command = [find_imagist(), "build", "image.yaml", "-t", "duel:1", "-o", image.name]

        def before() -> None:
            image.unlink() if image.is_file() else shutil.rmtree(image, ignore_errors=True)
            if self._cold:
                shutil.rmtree(folder / "cache", ignore_errors=True)

        def answer(_: str) -> frozenset[tuple[str, int]]:
            return frozenset(found for layer in read_layers(image) for found in _files(layer))

        return Contestant([*command, "--quiet", "--cache", "cache"], folder, before, answer)


def list_heats(name: Name) -> Iterator[Heat]:
    """The heats of a workload."""
    yield Debs(name, cold=True)
    yield Debs(name, cold=False)


def _mmdebstrap(name: str, folder: Path, archive: Path, packages: Sequence[str]) -> Contestant:
    found = find_tool("mmdebstrap")
    if found is None:
        raise Unavailable("mmdebstrap is absent: apt-get install mmdebstrap (as root)")
    source = f"deb [signed-by={archive}/key.asc] copy:{archive} {_SUITE} main"
    command = [str(found), "--quiet", "--mode=root", "--variant=extract", "--architectures=amd64"]
    command += [f"--include={','.join(packages)}", _SUITE, "-", source]
    rest = "cat > layer.tar" if name == _TAR_ALONE else _PACK
    line = f"set -o pipefail; {shlex.join(command)} | {rest}"

    def answer(_: str) -> frozenset[tuple[str, int]]:
        with next(folder.glob("layer.tar*")).open("rb") as layer:
            return frozenset(_files(layer))

    return Contestant(["/bin/bash", "-ec", line], folder, answer=answer)


def make_archive(name: Name, root: Path) -> list[str]:
    """A signed archive of a workload's .debs, which are links.

    Returns:
        The names of all its packages.
    """
    shutil.rmtree(root, ignore_errors=True)
    pool = root / "pool"
    pool.mkdir(parents=True)
    stanzas = []
    for path in sorted(download_debs(name).glob("*.deb")):
        if path.name.startswith(MERGED_USR):  # mmdebstrap makes these links itself
            continue
        data = path.read_bytes()
        (pool / path.name).hardlink_to(path)
        stanzas.append(
            f"{_read_control(path)}Filename: pool/{path.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    index = "\n".join(stanzas).encode()
    dists = root / "dists" / _SUITE
    written = {_INDEX: index, f"{_INDEX}.gz": debfile.compress(index, "gz")}
    for file, data in written.items():
        (dists / file).parent.mkdir(parents=True, exist_ok=True)
        (dists / file).write_bytes(data)
    described = debmaker.Archive(
        {"main": []}, suite=_SUITE, label=_SUITE, architectures=["amd64"], listed=False
    )
    signer = debmaker.Signer()
    signer.write(root / "key.asc")
    debmaker.sign_release(dists, debmaker.format_release(described, written), [signer])
    return [stanza.split()[1] for stanza in stanzas]


def _read_control(deb: Path) -> str:
    """A control file without relations to other packages; `Package` is its first field."""
    command = ["dpkg-deb", "--field", str(deb)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept, is_kept = [], True
    for line in said.splitlines(keepends=True):
        if not line.startswith(" "):
            is_kept = line.partition(":")[0] not in _LEFT_OUT
        if is_kept:
            kept.append(line)
    return "".join(kept)


def _files(layer: IO[bytes]) -> Iterator[tuple[str, int]]:
    """Paths and sizes of what packages have below /usr."""
    packed = layer.read(2) == b"\x1f\x8b"
    layer.seek(0)
    plain = igzip.open(layer) if packed else layer  # type: ignore[no-untyped-call]
    with tarfile.open(fileobj=plain, mode="r|", bufsize=1 << 20) as tar:
        for entry in tar:
            path = entry.name.removeprefix("./")
            if entry.isreg() and path.startswith("usr/") and path != _MADE:
                yield path, entry.size
