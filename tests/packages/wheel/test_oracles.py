"""What is chosen for a platform is what uv and pip choose, wherever those can be told of it."""

from __future__ import annotations

import json
import os
import platform
import random
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import serve
from imagist.errors import RequestError
from imagist.net.environment import Environment, read_environment
from imagist.net.transport import HttpTransport
from imagist.oci.platform import parse_platform
from imagist.packages.wheel.index import Finder
from imagist.packages.wheel.indexes import Indexes, default_index
from imagist.packages.wheel.lock.find import read_lock
from imagist.packages.wheel.lock.model import Lock
from imagist.packages.wheel.lock.uv import find_uv
from imagist.packages.wheel.selection import select_files
from imagist.packages.wheel.target import MACHINES, Target, platform_tags
from imagist.packages.wheel.wanted import wanted_packages
from imagist.store.store import Store
from packages.wheel.targets import ARCHITECTURES, target
from packages.wheel.tinywheel import tiny_wheel

_SELECTING = re.compile(r"Selecting: \S+ \[\w+\] \((\S+)\)")
_PACKAGES = 24
ANY_PLATFORM = [
    "any",
    *(f"manylinux_2_{minor}_{machine}" for machine in MACHINES.values() for minor in (17, 28, 39)),
    *(f"manylinux2014_{machine}" for machine in MACHINES.values()),
    "manylinux1_x86_64",
    "manylinux2010_x86_64.manylinux_2_12_x86_64",
    "manylinux1_i686",
    *(f"musllinux_1_{minor}_{machine}" for machine in MACHINES.values() for minor in (1, 2)),
    "linux_armv7l",
    "macosx_11_0_arm64",
    "win_amd64",
]
NEVER_BUILT = re.compile(r"manylinux(2014|_2_17|_2_28)_riscv64")
"""pip, like us, lets manylinux begin with 2.17 on all but PCs; uv knows that riscv64 is younger."""
PLATFORMS = [name for name in ANY_PLATFORM if not NEVER_BUILT.fullmatch(name)]
PYTHONS = ["cp312-cp312", "cp38-abi3", "cp312-abi3", "cp312-none", "py3-none", "cp313-cp313t"]
MARKERS = [
    "",
    "platform_machine == 'aarch64'",
    "platform_machine != 'x86_64' and sys_platform == 'linux'",
    "python_full_version < '3.12.8'",
    "python_version >= '3.13'",
    "platform_system == 'Linux' or os_name == 'nt'",
    "implementation_name == 'pypy'",
]
BY_UV = {
    "x86_64-manylinux_2_17": target(libc_version=(2, 17)),
    "x86_64-manylinux_2_36": target(),
    "aarch64-manylinux_2_31": target("arm64", libc_version=(2, 31)),
    "riscv64-unknown-linux": target("riscv64", libc_version=(2, 39)),
    "x86_64-unknown-linux-musl": target(libc="musl"),
    "aarch64-unknown-linux-musl": target("arm64", libc="musl"),
}


@pytest.fixture(scope="module")
def index() -> Iterator[SimpleIndex]:
    """Packages, each with some of all the wheels that there could be, and one that always fits."""
    chance = random.Random(7)
    with serve() as web:
        made = SimpleIndex(web)
        for number in range(_PACKAGES):
            name = f"p{number}"
            tags = {f"{chance.choice(PYTHONS)}-{chance.choice(PLATFORMS)}" for _ in range(60)}
            tags = {tag for tag in tags if not tag.startswith("cp") or not tag.endswith("-any")}
            for tag in sorted(tags | {"py3-none-any"}):
                build = chance.choice(["", "", "2-", "10-"])
                made.add(name, f"{name}-1.0-{build}{tag}.whl", tiny_wheel(name, "1.0", tag=tag))
        yield made


@pytest.fixture(scope="module")
def lock(index: SimpleIndex, tmp_path_factory: pytest.TempPathFactory) -> Lock:
    """A requirements file for all of them, with hashes and markers."""
    lines = []
    for number in range(_PACKAGES):
        marker = MARKERS[number % len(MARKERS)]
        files = [name for name in index.files if name.startswith(f"p{number}-")]
        hashes = " ".join(f"--hash=sha256:{index.sha256(name)}" for name in files)
        lines.append(f"p{number}==1.0{' ; ' * bool(marker)}{marker} {hashes}\n")
    path = tmp_path_factory.mktemp("lock") / "requirements.txt"
    path.write_text("".join(lines))
    return read_lock(path)


def ours(lock: Lock, where: Target, url: str, store: Path) -> list[str]:
    transport = HttpTransport(Environment())
    with Store.open(store) as opened:
        finder = Finder(transport, opened.memo, Indexes((url,)))
        found = [str(choice) for choice in select_files(lock, [where], finder)[where]]
    transport.close()
    return sorted(found)


def clean(home: Path) -> dict[str, str]:
    """An environment in which nobody's configuration counts."""
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(home / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def by_uv(words: Sequence[str], home: Path, environment: dict[str, str]) -> list[str]:
    """The files that uv would install, from what it says while it looks for them."""
    command = [find_uv(), "pip", "install", "--dry-run", "--verbose", "--no-deps"]
    command += ["--target", str(home / "t"), "--python", sys.executable, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted(set(_SELECTING.findall(done.stderr)))


def by_pip(words: Sequence[str], environment: dict[str, str]) -> list[str]:
    """The files that pip would install, from its report."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"]
    command += ["--ignore-installed", "--only-binary=:all:", "--report", "-", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return sorted(each["download_info"]["url"].rpartition("/")[2] for each in report["install"])


def pip_words(where: Target, folder: Path) -> list[str]:
    """What pip must be told of a target; it takes each platform for itself."""
    words = ["--target", str(folder), "--implementation", "cp", "--abi", where.abi]
    words += ["--python-version", where.python]
    return words + [word for tag in platform_tags(where) for word in ("--platform", tag)]


def this_machine() -> Target:
    """The target that this machine's Python is."""
    version = tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2])
    minor = f"cp{sys.version_info.major}{sys.version_info.minor}"
    architecture = {machine: arch for arch, machine in MACHINES.items()}[platform.machine()]
    return Target(
        platform=parse_platform(f"linux/{architecture}"),
        python=platform.python_version(),
        abi=minor + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        libc="glibc",
        libc_version=(version[0], version[1]),
        interpreter=sys.executable,
    )


@pytest.mark.parametrize("name", BY_UV)
def test_uv_chooses_the_same(index: SimpleIndex, lock: Lock, tmp_path: Path, name: str) -> None:
    where = BY_UV[name]
    words = ["--python-platform", name, "--python-version", where.python, "--only-binary=:all:"]
    words += ["--require-hashes", "--index-url", index.url, "-r", lock.file]
    theirs = by_uv(words, tmp_path, clean(tmp_path))
    assert len(theirs) > _PACKAGES // 3
    assert ours(lock, where, index.url, tmp_path / "store") == theirs


@pytest.mark.parametrize(
    "where",
    [
        *(target(arch) for arch in ARCHITECTURES),
        target("arm/v7", libc="musl"),
        target("ppc64le", "3.13.1", threaded=True),
    ],
    ids=str,
)
def test_pip_chooses_the_same(
    index: SimpleIndex, lock: Lock, tmp_path: Path, where: Target
) -> None:
    # pip takes markers for those of this machine, so it is asked without them.
    plain = tmp_path / "requirements.txt"
    text = re.sub(r" ; [^-]*(?= --hash)", "", Path(lock.file).read_text())
    plain.write_text(text)
    words = [*pip_words(where, tmp_path / "t"), "--index-url", index.url, "-r", str(plain)]
    theirs = by_pip(words, clean(tmp_path))
    assert len(theirs) == _PACKAGES
    assert ours(read_lock(plain), where, index.url, tmp_path / "store") == theirs


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs a system with glibc")
def test_natively_pip_chooses_the_same(index: SimpleIndex, lock: Lock, tmp_path: Path) -> None:
    theirs = by_pip(["--index-url", index.url, "-r", lock.file], clean(tmp_path))
    assert len(theirs) > _PACKAGES // 3
    assert ours(lock, this_machine(), index.url, tmp_path / "store") == theirs


# real packages

SAMPLE = "flask==3.1.0\npandas==2.2.3\ncryptography==44.0.0\nuvicorn[standard]==0.34.0\n"
ABSENT = {"arm/v7": 7, "ppc64le": 5, "s390x": 6}
"""Architecture to how many of the sample's 26 packages have no wheel for it."""
LACKING = {"riscv64-unknown-linux", "x86_64-manylinux_2_17"}
"""For these, too, some of the sample's packages have no wheel."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A universal lock of real packages, where their index can be reached."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "requirements.in").write_text(SAMPLE)
    command = [find_uv(), "pip", "compile", "requirements.in", "--universal", "--quiet"]
    command += ["--python-version", "3.12", "--format", "pylock.toml", "-o", "pylock.toml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode and os.environ.get("IMAGIST_TEST_ALL") != "1":
        pytest.skip("needs a package index, none can be reached")
    assert done.returncode == 0, done.stderr
    return folder / "pylock.toml"


@pytest.mark.parametrize("name", [name for name in BY_UV if name not in LACKING])
def test_of_real_packages_uv_chooses_the_same(sample: Path, tmp_path: Path, name: str) -> None:
    where = BY_UV[name]
    pinned = tmp_path / "requirements.txt"
    packages = read_lock(sample).packages
    pinned.write_text(
        "".join(f"{p.name}=={p.version}{' ; ' * bool(p.marker)}{p.marker}\n" for p in packages)
    )
    words = ["--python-platform", name, "--python-version", where.python, "-r", str(pinned)]
    environment = {**os.environ, "UV_CACHE_DIR": str(sample.parent / "cache")}
    theirs = by_uv([*words, "--only-binary=:all:"], tmp_path, environment)
    assert len(theirs) == 26
    assert ours(read_lock(sample), where, default_index(), tmp_path / "store") == theirs


def test_of_real_packages_pip_chooses_the_same(sample: Path, tmp_path: Path) -> None:
    where, lock = target("arm64"), read_lock(sample)
    pinned = tmp_path / "requirements.txt"
    # pip evaluates markers for this machine, so those that no Linux wants are left out.
    wanted = wanted_packages(lock, where)
    pinned.write_text("".join(f"{each.name}=={each.version}\n" for each in wanted))
    words = [*pip_words(where, tmp_path / "t"), "-r", str(pinned)]
    theirs = by_pip(words, dict(os.environ))
    assert len(theirs) == 26
    assert ours(lock, where, default_index(), tmp_path / "store") == theirs


@pytest.mark.parametrize("arch", ABSENT)
def test_of_real_packages_those_without_wheels_are_refused(sample: Path, arch: str) -> None:
    lock = read_lock(sample)
    transport = HttpTransport(read_environment())
    with (
        Store.open(sample.parent / "store") as store,
        pytest.raises(RequestError) as caught,
    ):
        select_files(
            lock, [target(arch)], Finder(transport, store.memo, Indexes((default_index(),)))
        )
    assert len(caught.value.problems) >= ABSENT[arch]
    assert all("has no wheel for" in problem.message for problem in caught.value.problems)
