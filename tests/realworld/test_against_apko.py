"""The same YAML and packages, built by real apko and by imagist: the same images.

`apko_differences` is the table of what may differ, with the reasons.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.demo import write_demo
from fixtures.maker import Apk, file, folder, hardlink, symlink, write_repository
from imagist.build.fingerprint import INPUTS
from realworld.apko_differences import DIFFERENCES, compare
from realworld.flat import Image, read_image
from realworld.tools import apko, imagist
from realworld.workload import MERGED_USR, Workload
from support import TESTDATA, needs

pytestmark = needs("shared", "apt-get", "apko")

_PYTHON = """base-files python3-minimal libpython3.11-stdlib tzdata ca-certificates libc-bin
netbase media-types python3.11-venv libgomp1"""

_EVERYTHING = """
entrypoint: {command: /usr/bin/python3}
cmd: -c 'import ssl'
work-dir: /home/app
stop-signal: SIGTERM
environment: {LANG: C.UTF-8, B: "1"}
volumes: [/data, /cache]
annotations: {org.opencontainers.image.title: t, x: y}
accounts:
  run-as: app
  groups:
    - {groupname: app, gid: 10001, members: [app, root]}
    - {groupname: more, gid: 10002}
  users:
    - {username: app, uid: 10001, gid: 10001, shell: /bin/sh, homedir: /home/app}
    - {username: homeless, uid: 7, homedir: /dev/null}
paths:
  - {path: /data, type: directory, uid: 10001, gid: 10001, permissions: 0o750}
  - {path: /data/a/b, type: directory, permissions: 0o755}
  - {path: /etc/empty, type: empty-file, uid: 1, gid: 2, permissions: 0o640}
  - {path: /usr/local/bin/py, type: symlink, source: /usr/bin/python3}
  - {path: /etc/os-release2, type: hardlink, source: /usr/lib/os-release, permissions: 0o644}
  - {path: /usr/lib/python3.11/json, type: permissions, recursive: true, uid: 3, gid: 4,
     permissions: 0o555}
  - {path: /tmp, type: directory, permissions: 0o1777}
"""


def _python(folder: Path, w38: Workload, more: str) -> str:
    return w38.declaration([*_PYTHON.split(), MERGED_USR], more)


def _minirepo(folder: Path, name: str) -> str:
    """A YAML of apko's own tests, with the packages where it looks for them."""
    shutil.copytree(TESTDATA / "apk" / "minirepo", folder / "testdata" / "packages")
    shutil.copy(TESTDATA / "apk" / "minirepo" / "melange.rsa.pub", folder / "testdata")
    return (TESTDATA / "apko-configs" / name).read_text()


def _made(folder: Path, packages: list[Apk], names: str, more: str = "") -> str:
    """A YAML over packages that are made here."""
    written = write_repository(folder / "repository", {"x86_64": packages}, sign_packages=True)
    return (
        f"contents:\n  keyring: [{written.key}]\n  repositories: [{written.root}]\n"
        f"  packages: [{names}]\narchs: [x86_64]\n{more}"
    )


def _base() -> Apk:
    names = ("usr", "usr/bin", "usr/lib", "usr/sbin", "etc")
    passwd = "root:x:0:0:root:/root:/bin/sh\nmail:x:8:12:mail:/var/mail:/sbin/nologin\n"
    items = [
        *(folder(name) for name in names),
        *(symlink(name, f"usr/{name}") for name in ("bin", "lib", "sbin")),
        file("etc/passwd", passwd),
        file("etc/group", "root:x:0:root\n"),
        file("etc/shadow", "root:*::0:::::\n", 0o640),
    ]
    return Apk("base", "1.0-r0", items, parents=False)


def _usrmerge(at: Path, _: Workload) -> str:
    """A package that still says /bin and /lib, on merged folders."""
    old = Apk(
        "old-paths",
        "1.0-r0",
        [
            folder("bin"),
            file("bin/tool", "#!/bin/sh\n", 0o4755),
            hardlink("bin/tool2", "bin/tool", mode=0o4755),
            file("lib/x/libx.so.1", "x"),
            symlink("lib/x/libx.so", "libx.so.1"),
            file("sbin/admin", "a", 0o2755),
        ],
    )
    return _made(at, [_base(), old], "base, old-paths")


def _services(at: Path, _: Workload) -> str:
    s6 = Apk("s6", "2.13-r0", [file("usr/bin/s6-svscan", "x", 0o755)])
    more = "{web: /usr/bin/python3 -m http.server, other: run it}"
    entrypoint = f"entrypoint: {{type: service-bundle, services: {more}}}\n"
    return _made(at, [_base(), s6], "base", entrypoint)


def _replaces(at: Path, _: Workload) -> str:
    packages = [
        _base(),
        Apk("first", "1.0-r0", [file("etc/own", "first"), file("etc/keep", "k")]),
        Apk("second", "1.0-r0", [file("etc/own", "second")], replaces=["first"]),
        Apk(
            "scripts",
            "1.0-r0",
            [file("etc/scripts", "x")],
            scripts={"post-install": "#!/bin/sh\nexit 1\n", "trigger": "#!/bin/sh\n"},
            triggers=["/usr/lib", "/etc/*"],
        ),
    ]
    return _made(at, packages, "base, first, second, scripts")


def _attributes(at: Path, _: Workload) -> str:
    """Owners, special bits, extended attributes, links in both orders."""
    mine = {"uid": 5, "gid": 6}
    items = [
        folder("srv", 0o2750, **mine),
        file("srv/f", "x", 0o4711, xattrs={"user.a": b"b"}, **mine),
        symlink("srv/l", "f", **mine),
        hardlink("srv/a", "srv/f", mode=0o4711, xattrs={"user.a": b"b"}, **mine),
        hardlink("srv/z", "srv/f", mode=0o4711, xattrs={"user.a": b"b"}, **mine),
    ]
    return _made(at, [_base(), Apk("attributes", "1.0-r0", items)], "base, attributes")


CASES: dict[str, Callable[[Path, Workload], str]] = {
    "python": lambda at, w38: _python(
        at, w38, "cmd: /usr/bin/python3 -c 'import ssl, sqlite3; print(1)'\n"
    ),
    "everything": lambda at, w38: _python(at, w38, _EVERYTHING),
    "origins": lambda at, w38: _python(at, w38, "layering: {strategy: origin, budget: 3}\n"),
    "apko": lambda at, w38: _minirepo(at, "apko.yaml"),
    "certificates": lambda at, w38: _minirepo(at, "apko-certs.yaml"),
    "layering": lambda at, w38: _minirepo(at, "layering.yaml"),
    "demo": lambda at, w38: write_demo(at / "demo").read_text(),
    "usrmerge": _usrmerge,
    "services": _services,
    "replaces": _replaces,
    "attributes": _attributes,
}


class Pair:
    """One YAML and what both make of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        arch = ("--arch", "x86_64")
        imagist("build", "it.yaml", "-o", "ours", *arch, cwd=folder, cache=folder / "store")
        (folder / "theirs").mkdir()
        output = ("it:latest", folder / "theirs")
        quiet = ("--sbom=false", "--vcs=false")
        apko("build", "it.yaml", *output, *arch, *quiet, cwd=folder, cache=folder / "apko")
        self.ours: Image = read_image(folder / "ours")
        self.theirs: Image = read_image(folder / "theirs")


@pytest.fixture(scope="module", params=list(CASES))
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, w38: Workload
) -> Pair:
    at = tmp_path_factory.mktemp(request.param)
    (at / "it.yaml").write_text(CASES[request.param](at, w38))
    return Pair(at)


def test_the_trees_are_equal_but_for_the_table(pair: Pair) -> None:
    unexplained, used = compare(pair.ours.flatten(), pair.theirs.flatten())
    assert unexplained == []
    # The comparison sees the differences it should: these two are in every image.
    assert {DIFFERENCES[0].reason, DIFFERENCES[1].reason} <= used


def test_the_configurations_are_equal(pair: Pair) -> None:
    def described(image: Image) -> dict[str, Any]:
        kept = dict(image.config)
        for own in ("author", "history", "rootfs"):  # who made it, and of which layers
            del kept[own]
        return kept

    assert described(pair.ours) == described(pair.theirs)
    annotations = dict(pair.ours.manifest["annotations"])
    assert annotations.pop(INPUTS)  # ours alone
    assert annotations == pair.theirs.manifest["annotations"]
    assert pair.ours.manifest["mediaType"] == pair.theirs.manifest["mediaType"]


def test_the_packages_chosen_are_equal_but_for_install_if(pair: Pair) -> None:
    arch = ("--arch", "x86_64")
    cache = pair.folder / "store"
    shown = imagist("show", "packages", "it.yaml", "--json", *arch, cwd=pair.folder, cache=cache)
    rows = json.loads(shown)
    said = apko("show-packages", "it.yaml", *arch, cwd=pair.folder, cache=pair.folder / "apko")
    theirs = [line.strip() for line in said.splitlines() if line.strip()]
    ours = [f"{row['name']} {row['version']}" for row in rows]
    # apko does not know install_if: of all packages here, the demo's documentation has one.
    assert [each for each in ours if not each.startswith("hello-doc ")] == theirs


@pytest.mark.parametrize("case", ["python", "apko"])
def test_a_lock_of_apko_builds_the_image_it_locked(
    case: str, tmp_path: Path, w38: Workload
) -> None:
    (tmp_path / "it.yaml").write_text(CASES[case](tmp_path, w38))
    lock = ("--output", "it.lock.json", "--arch", "x86_64")
    apko("lock", "it.yaml", *lock, cwd=tmp_path, cache=tmp_path / "apko")
    arch = ("--arch", "x86_64")

    def build(*more: str) -> str:
        return imagist("build", "it.yaml", *arch, *more, cwd=tmp_path, cache=tmp_path / "store")

    locked = build("--lockfile", "it.lock.json")
    assert locked == build()
