"""Real packages: Alpine 3.17's main repository for aarch64, and real apko on the same worlds."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from imagist.packages.apk.solver.solve import solve
from imagist.packages.apk.table import IndexTable
from imagist.packages.apk.tablemaker import make_table
from imagist.packages.apk.universe import Repository, Universe
from packages.apk.solver.apko_oracle import ask_apko, write_signed_index
from packages.apk.solver.solver_worlds import ARM
from support import TESTDATA, needs

SAME = """
python3|nginx|postgresql15|build-base|git|nodejs|alpine-base|alpine-sdk|apache2|bash|bind|busybox|ca-certificates
clang15|cmake|coreutils|cups|curl|dbus|dnsmasq|dovecot|e2fsprogs|gcc|gdb|gettext|gtk+3.0|haproxy|iptables|kbd|llvm15
lua5.4|lvm2|lxc|mariadb|mesa|mkinitfs|musl-dev|nfs-utils|nghttp2|openldap|openssh|openssl|perl|postfix|redis|rsync
ruby|samba|sqlite|squid|syslog-ng|tcl|tmux|unbound|zsh|linux-lts|so:libssl.so.3|cmd:awk|cmd:bash|cmd:ip|/bin/sh
pc:zlib|pc:openssl|libc-utils|openssl<4|openssl~3|git=2.38.5-r0|sqlite>=3.40|postgresql|mysql|mawk cmd:awk
"""
WORLDS = [world for line in SAME.split("\n") for world in line.split("|") if world]


class Difference(NamedTuple):
    """A world where imagist means to choose differently, by what each has and the other has not."""

    world: str
    only_ours: str
    only_apko: str
    because: str


INSTALL_IF = "apko looks for install_if only among the dependencies of each entry of the world"
DIFFERENT = [
    Difference("openrc nginx", "nginx-openrc", "", INSTALL_IF),
    Difference("docs", "mandoc-doc zlib-doc", "", INSTALL_IF),
    Difference(
        "docs git",
        "busybox-doc ca-certificates-doc git-doc mandoc-doc pcre2-doc zlib-doc",
        "",
        INSTALL_IF,
    ),
    Difference("bash-completion git bash", "git-bash-completion ssl_client", "", INSTALL_IF),
    Difference(
        "postgresql-client postgresql14",
        "",
        "lz4-libs postgresql15-client zstd-libs",
        "postgresql14 needs a client that provides postgresql-client too",
    ),
]


@cache
def index_text() -> bytes:
    file = TESTDATA / "apk" / "alpine-3.17" / "APKINDEX.tar.gz"
    with tarfile.open(file, ignore_zeros=True) as tar:
        member = tar.extractfile("APKINDEX")
        assert member
        return member.read()


@cache
def table() -> IndexTable:
    return IndexTable.open(make_table(index_text()))


def ours(world: str) -> list[str]:
    resolution = solve(
        {ARM: world.split()}, {ARM: Universe([Repository(table(), "http://a.test")])}
    )
    return [f"{each.package.name} {each.package.version}" for each in resolution.packages(ARM)]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("alpine")
    return folder, write_signed_index(folder, "aarch64", index_text())


@needs("apko", "shared")
@pytest.mark.parametrize("world", WORLDS)
def test_choice_is_apkos(world: str, oracle: tuple[Path, Path]) -> None:
    folder, key = oracle
    answer = ask_apko(folder, [str(folder)], key, world.split())
    assert isinstance(answer, list), answer
    assert sorted(ours(world)) == sorted(answer)


@needs("apko", "shared")
@pytest.mark.parametrize("difference", DIFFERENT, ids=lambda difference: difference.world)
def test_choice_differs_where_it_is_meant_to(
    difference: Difference, oracle: tuple[Path, Path]
) -> None:
    folder, key = oracle
    answer = ask_apko(folder, [str(folder)], key, difference.world.split())
    assert isinstance(answer, list), answer
    mine = set(ours(difference.world))
    assert {each.split()[0] for each in mine - set(answer)} == set(difference.only_ours.split())
    assert {each.split()[0] for each in set(answer) - mine} == set(difference.only_apko.split())
    assert difference.because


@needs("shared")
def test_vim_is_vim_and_util_linux_is_more_than_its_name() -> None:
    assert "vim 9.0.0999-r0" in ours("vim")
    assert not any(each.startswith("gvim") for each in ours("vim"))
    assert len(ours("util-linux")) > 20


@needs("shared")
def test_every_twenty_fifth_package_can_be_installed_alone() -> None:
    universe = Universe([Repository(table(), "http://a.test")])
    for name in [package.name for package in (table()[n] for n in range(0, len(table()), 25))]:
        resolution = solve({ARM: [name]}, {ARM: universe})
        assert resolution.find(ARM, name)
