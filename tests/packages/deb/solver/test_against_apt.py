"""The same choices as apt: on worlds made here, and on the archive that this machine's apt uses."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fixtures.debfile import Deb
from fixtures.debmaker import Archive, write_archive
from imagist.errors import Unsatisfiable
from imagist.net.conditional import CachedGet
from imagist.net.environment import Environment, read_environment
from imagist.net.transport import HttpTransport
from imagist.packages.deb.dependency import Relation
from imagist.packages.deb.index import Package, parse_record
from imagist.packages.deb.machine import Machine, complete
from imagist.packages.deb.repository import ArchiveLoader
from imagist.packages.deb.solver.solve import solve
from imagist.packages.deb.sources import parse_sources
from imagist.packages.deb.table import IndexTable
from imagist.packages.deb.tablemaker import make_table
from imagist.packages.deb.universe import Pin, Repository, Suite, Universe
from imagist.packages.reading import Reader
from imagist.store.store import Store
from packages.deb.apt_oracle import Apt
from packages.deb.solver.deb_worlds import AMD, choose
from support import needs

pytestmark = needs("apt-get")

# -- worlds made here ------------------------------------------------------------------------


def _record(name: str, version: str = "1", **fields: str) -> str:
    lines = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Priority": "optional",
        **{key.replace("_", "-").title(): value for key, value in fields.items()},
        "Filename": f"{name}_{version}_amd64.deb",
        "Size": "1",
        "SHA256": f"{abs(hash((name, version))):064x}"[-64:],
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value)


class World:
    """One or more flat archives, for apt and for us."""

    def __init__(
        self,
        root: Path,
        *archives: list[str],
        status: str = "",
        foreign: tuple[str, ...] = (),
    ) -> None:
        lines, repositories = [], []
        for place, records in enumerate(archives):
            folder = root / f"archive{place}"
            folder.mkdir(parents=True)
            text = "\n".join(records)
            (folder / "Packages").write_text(text)
            lines.append(f"deb [trusted=yes] file:{folder} ./")
            table = IndexTable.open(make_table(text.encode()))
            repositories.append(Repository(table, Suite()))
        self.foreign = foreign
        self.apt = Apt(root / "apt", lines, status=status, foreign=foreign)
        assert self.apt.update() == ""
        self.repositories = repositories

    def compare(
        self, *world: str, pins: list[Pin] | None = None, installed: list[Package] | None = None
    ) -> dict[str, str] | None:
        """What imagist chooses, which must be what apt does; None where there is no way.

        Where apt gives up or changes its mind, what is chosen must be possible.
        """
        theirs = self.apt.install(*world, watch=True)
        universe = Universe("amd64", self.repositories, pins=pins or (), foreign=self.foreign)
        try:
            ours = choose(list(world), universe, installed=installed or [])
        except Unsatisfiable:
            assert theirs is None
            return None
        packages = [*(installed or []), *(each.package for each in ours.packages(AMD))]
        if not self.foreign:
            assert _find_flaw(packages) == ""
        mine = {each.name: each.version for each in ours.packages(AMD)}
        if theirs is not None and not self.apt.wavered:
            assert mine == theirs
        return mine


def _find_flaw(packages: list[Package]) -> str:
    """The first thing that dpkg would not have, for packages of one architecture."""

    def has(relation: Relation) -> bool:
        return any(
            name == relation.name and relation.accepts(version)
            for other in packages
            for name, version in [(other.name, other.version), *(o[:2] for o in _offers(other))]
        )

    for package in packages:
        for clause in (*package.clauses("pre_depends", ""), *package.clauses("depends", "")):
            if not any(map(has, clause.relations)):
                return f"{package} needs {clause}"
        for clause in (*package.clauses("conflicts", ""), *package.clauses("breaks", "")):
            others = [each for each in packages if each.name != package.name]
            named = {each.name for each in others} | {
                o[0] for each in others for o in _offers(each)
            }
            if any(r.name in named for r in clause.relations if not r.op):
                return f"{package} conflicts with {clause}"
    names = [package.name for package in packages]
    return "" if len(names) == len(set(names)) else "a name twice"


def _offers(package: Package) -> list[tuple[str, str]]:
    return [(offer.name, offer.version) for offer in package.offers]


def _random_world(dice: random.Random) -> list[str]:
    """Packages that need, provide and refuse each other; providers differ in priority."""
    count = dice.randrange(8, 24)
    priorities = ["required", "important", "standard", "optional", "extra"]
    virtual = {f"v{n}": dice.sample(range(count), dice.randrange(1, 5)) for n in range(4)}

    def relation(name: str) -> str:
        return f"{name} ({dice.choice(['>=', '<=', '='])} {dice.randrange(1, 3)})"

    def any_name() -> str:
        if dice.random() < 0.2:
            return dice.choice(list(virtual))
        name = f"p{dice.randrange(count):02}"
        return relation(name) if dice.random() < 0.2 else name

    records = []
    for place in range(count):
        provides = [name for name, providers in virtual.items() if place in providers]
        ranks = [providers.index(place) for providers in virtual.values() if place in providers]
        depends = ", ".join(
            " | ".join(any_name() for _ in range(dice.choice([1, 1, 2, 3])))
            for _ in range(dice.choice([0, 0, 1, 2, 3]))
        )
        conflicts = f"p{dice.randrange(count):02}" if dice.random() < 0.06 else ""
        versions = dice.choice([["1"], ["1"], ["1", "2"]])
        for version in versions:
            records.append(
                _record(
                    f"p{place:02}",
                    version,
                    priority=priorities[ranks[0]] if len(ranks) == 1 else "optional",
                    depends=depends,
                    provides=", ".join(provides) if len(ranks) == 1 else "",
                    conflicts=conflicts if conflicts != f"p{place:02}" else "",
                )
            )
    return records


@pytest.mark.parametrize("seed", range(16))
def test_random_worlds(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    records = _random_world(dice)
    world = World(tmp_path, records)
    names = sorted({parse_record(each.encode()).name for each in records})
    for _ in range(6):
        world.compare(*dice.sample(names, dice.randrange(1, 4)))


def test_the_providers_of_a_name(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        [
            _record("a", depends="v"),
            _record("b", depends="v | w", pre_depends="x | y"),
            _record("p1", provides="v, x", priority="extra"),
            _record("p2", provides="v", priority="important"),
            _record("p3", provides="w, y", priority="required"),
            _record("p4", provides="v", priority="extra", essential="yes"),
        ],
    )
    assert world.compare("a") is not None
    assert world.compare("b") is not None
    assert world.compare("b", "p3") is not None
    assert world.compare("a", "p1") is not None


def test_a_forced_package_rules_out_what_conflicts_with_it(tmp_path: Path) -> None:
    """As libreoffice-writer does with its two cores."""
    world = World(
        tmp_path,
        [
            _record("writer", depends="base, core"),
            _record("base", depends="core-nogui | core"),
            _record("core", conflicts="core-nogui"),
            _record("core-nogui", conflicts="core"),
        ],
    )
    assert world.compare("writer") == {"base": "1", "core": "1", "writer": "1"}


@pytest.mark.parametrize(
    ("world", "chosen"),
    [
        ("app old", "app old"),  # the break is of an older version
        ("app older", ""),
        ("mta rival", ""),
        ("mta own", "mta own"),  # conflicts with the name it provides: not with itself
        ("own other", ""),
        ("either", "either second"),
        ("first second", ""),
        ("choosy first", ""),
        ("follower", "follower new=2"),
        ("follower new=1", ""),
        ("chain", "chain link new=2"),
    ],
)
def test_conflicts_and_breaks(tmp_path: Path, world: str, chosen: str) -> None:
    records = [
        _record("app", breaks="old (<< 2), older (<< 2)"),
        _record("old", "2"),
        _record("older", "1"),
        _record("mta", conflicts="rival"),
        _record("rival"),
        _record("own", provides="agent", conflicts="agent", replaces="agent"),
        _record("other", provides="agent", conflicts="agent", replaces="agent"),
        _record("either", depends="first | second", conflicts="first"),
        _record("first", conflicts="second"),
        _record("second"),
        _record("choosy", depends="second"),
        _record("new", "1"),
        _record("new", "2"),
        _record("follower", depends="new", breaks="new (<< 2)"),
        _record("chain", depends="link"),
        _record("link", depends="new (>= 1)", conflicts="new (= 1)"),
    ]
    found = World(tmp_path, records).compare(*world.split())
    wanted = dict(word.partition("=")[::2] for word in chosen.split())
    assert sorted(found or ()) == sorted(wanted)
    assert all(
        found is None or found[name] == version for name, version in wanted.items() if version
    )


@pytest.mark.parametrize(
    ("world", "chosen"),
    [
        ("lib", "lib"),
        ("lib:i386", "lib:i386"),
        ("lib lib:i386", "lib lib:i386"),
        ("game:i386", "data game:i386 lib:i386 tool"),
        ("script:i386", "py script:i386"),
        ("native:i386", "native:i386 none"),
        ("plain:i386", ""),
        ("none none:i386", ""),
        ("old:i386", "old:i386 lib:i386"),
        ("lib old:i386", ""),
    ],
)
def test_packages_of_several_architectures(tmp_path: Path, world: str, chosen: str) -> None:
    records = [
        _record("tool", multi_arch="foreign"),
        _record("lib", "2", multi_arch="same"),
        _record("py", multi_arch="allowed"),
        _record("none"),
        _record("data", architecture="all", multi_arch="foreign"),
        _record("local", architecture="all"),
        _record("lib", "2", architecture="i386", multi_arch="same"),
        _record("none", architecture="i386"),
        _record("game", architecture="i386", depends="lib, tool, data"),
        _record("script", architecture="i386", depends="py:any"),
        _record("native", architecture="i386", depends="none:amd64"),
        _record("plain", architecture="i386", depends="local"),
        _record("old", architecture="i386", depends="lib", conflicts="lib:amd64"),
    ]
    found = World(tmp_path, records, foreign=("i386",)).compare(*world.split())
    assert (sorted(found) if found else []) == sorted(chosen.split())


def test_versions_pins_and_what_is_installed(tmp_path: Path) -> None:
    status = "Package: held\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
    old = [_record("a", "1", depends="held, b"), _record("b", "1"), _record("held", "1")]
    new = [_record("a", "2", depends="held, c | b"), _record("b", "2"), _record("c")]
    installed = [Package("held", "1", "amd64")]
    world = World(tmp_path, old, new, status=status)
    assert world.compare("a", installed=installed) == {"a": "2", "c": "1"}
    assert world.compare("a", "b", installed=installed) == {"a": "2", "b": "2"}
    assert world.compare("a=1", installed=installed) == {"a": "1", "b": "2"}
    world.apt.pin("Package: a b\nPin: version 1\nPin-Priority: 990\n")
    pins = [Pin(990, ("a", "b"), version="1")]
    assert world.compare("a", pins=pins, installed=installed) == {"a": "1", "b": "1"}
    world.apt.pin("Package: c\nPin: version *\nPin-Priority: -1\n")
    never = [Pin(-1, ("c",), version="*")]
    assert world.compare("a", pins=never, installed=installed) == {"a": "2", "b": "2"}


def test_suites_that_are_not_automatic(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    stable = [Deb("a"), Deb("b"), Deb("lib"), Deb("c", fields={"Depends": "b, lib"})]
    newer = [
        Deb("a", "2", fields={"Depends": "lib (>= 2), b"}),
        Deb("b", "2"),
        Deb("lib", "2"),
        Deb("only", "2", fields={"Depends": "b"}),
    ]
    write_archive(root, Archive({"main": stable}))
    more = {"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"}
    backports = Archive({"main": newer}, "trixie-backports", "stable-backports", fields=more)
    write_archive(root, backports)
    suites = ["trixie", "trixie-backports"]
    apt = Apt(
        tmp_path / "apt", [f"deb [trusted=yes] file:{root} {suite} main" for suite in suites]
    )
    assert apt.update() == ""
    with Store.open(tmp_path / "store") as store:
        transport = HttpTransport(Environment())
        loader = ArchiveLoader(
            store, Reader(transport, CachedGet(transport, store)), now=time.time()
        )
        sources = [s for e in suites for s in parse_sources(f"deb [trusted=yes] {root} {e} main")]
        universe = loader.load(sources, ["amd64"]).universes["amd64"]
        asked = [
            "a",
            "c",
            "only",
            "a/trixie-backports",
            "a/stable-backports",
            "a=2",
            "b/trixie-backports",
        ]
        for entry in asked:
            ours = {each.name: each.version for each in choose(entry, universe).packages(AMD)}
            theirs = apt.install(entry)
            if theirs is None:  # apt looks for no other version of what a version asked for needs
                assert (entry, ours) == ("a=2", {"a": "2", "b": "1.0-1", "lib": "2"})
            else:
                assert ours == theirs, entry


# -- the real archive ------------------------------------------------------------------------

SETS = [
    "build-essential git curl ca-certificates python3-dev python3-pip python3-venv nginx",
    "nodejs npm",
    "libgtk-3-dev",
    "default-jre imagemagick ffmpeg",
    "texlive",
    "php php-mysql",
    "ruby golang rustc cargo",
    "python3 ca-certificates",
    "build-essential",
    "postgresql",
    "apache2",
    "r-base",
    "docker.io",
    "gnome-core",
    "kde-plasma-desktop",
    "libreoffice-writer",
    "octave",
    "qemu-system-x86 libvirt-daemon-system",
    "emacs",
    "python3-scipy python3-matplotlib",
    "systemd-sysv openssh-server",
    "exim4",
    "postfix mailutils",
    "default-mta mutt",
    "ansible",
    "clang lld lldb",
    "erlang",
    "ghc",
    "mono-complete",
    "firefox-esr",
    "tomcat10",
    "redis-server lua5.4",
    "openjdk-21-jre-headless",
    "sudo cron logrotate rsyslog",
    "g++ cmake ninja-build",
]
SUITES = ("deb trixie main", "deb trixie-updates main", "deb trixie-security main")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Apt, Universe]]:
    """apt's own view of Debian's archive, and ours of the same moment."""
    pytest.importorskip("pysequoia")
    root = tmp_path_factory.mktemp("archive")
    machine = Machine()
    if not machine.is_debian or not machine.sources():
        pytest.skip("this machine's apt has no Debian archive")
    sources = complete([s for entry in SUITES for s in parse_sources(entry)], machine)
    keyring = next((path for each in sources for path in each.signed_by), "")
    option = f"[signed-by={keyring}] " if keyring else ""
    apt = Apt(root / "apt", [str(each).replace("deb ", f"deb {option}", 1) for each in sources])
    if failure := apt.update():
        pytest.skip(f"the archive cannot be reached: {failure.splitlines()[0][:80]}")
    transport = HttpTransport(read_environment())
    with Store.open(root / "store") as store:
        reader = Reader(transport, CachedGet(transport, store))
        loader = ArchiveLoader(store, reader, now=time.time())
        # What apt calls valid is valid here; some machines have a clock of their own.
        sources = [msgspec.structs.replace(each, check_date=False) for each in sources]
        yield apt, loader.load(sources, ["amd64"]).universes["amd64"]
    transport.close()


@pytest.mark.parametrize("world", SETS, ids=lambda text: text.split()[0])
def test_choices_equal_those_of_apt(archive: tuple[Apt, Universe], world: str) -> None:
    apt, universe = archive
    names = world.split()
    resolution = solve({AMD: names}, {AMD: universe})
    ours = {each.name: each.version for each in resolution.packages(AMD)}
    assert ours == apt.install(*names)
    assert len(ours) > 5


@pytest.mark.parametrize(
    ("base", "added"),
    [
        ("python3 ca-certificates", "git curl"),
        ("build-essential", "nodejs nginx"),
        ("perl mawk", "postfix libreoffice-writer"),
    ],
)
def test_what_a_base_lacks_is_what_apt_adds(
    archive: tuple[Apt, Universe], tmp_path: Path, base: str, added: str
) -> None:
    apt, universe = archive
    first = solve({AMD: base.split()}, {AMD: universe})
    held = [each.package for each in first.packages(AMD)]
    sources = (apt.root / "etc/sources.list").read_text().splitlines()
    status = "\n".join(map(_describe, held))
    continued = Apt(tmp_path / "apt", sources, status=status)
    continued.use(apt)
    resolution = solve({AMD: added.split()}, {AMD: universe}, installed={AMD: held})
    ours = {each.name: each.version for each in resolution.packages(AMD)}
    assert ours == continued.install(*added.split())
    assert not {package.name for package in held} & set(ours)


def _describe(package: Package) -> str:
    """A package as dpkg's database has it."""
    fields = {
        "Package": package.name,
        "Status": "install ok installed",
        "Version": package.version,
        "Architecture": package.architecture,
        "Multi-Arch": package.multi_arch,
        "Priority": package.priority,
        "Pre-Depends": package.pre_depends,
        "Depends": package.depends,
        "Provides": package.provides,
        "Conflicts": package.conflicts,
        "Breaks": package.breaks,
        "Replaces": package.replaces,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
