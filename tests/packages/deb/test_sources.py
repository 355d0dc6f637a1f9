"""Sources in both syntaxes, and where the machine's own apt gets its packages."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from imagist.errors import RequestError
from imagist.packages.deb.machine import Machine, complete, locate
from imagist.packages.deb.sources import Source, is_source, parse_sources

URL = "https://deb.example.org/debian"


def read(entry: str) -> Source:
    (source,) = parse_sources(entry)
    return source


def test_a_line() -> None:
    source = read(f"deb {URL}/ trixie main contrib")
    assert source == Source("trixie", URL, ("main", "contrib"))
    assert source.folder == f"{URL}/dists/trixie"
    assert str(source) == f"deb {URL} trixie main contrib"


def test_options_of_a_line() -> None:
    source = read(
        "deb [arch=amd64,arm64 signed-by=/etc/keys/a.gpg,/etc/keys/b.gpg trusted=yes "
        f"check-valid-until=no by-hash=force snapshot=20261121T000000Z] {URL} trixie main"
    )
    assert source.architectures == ("amd64", "arm64")
    assert source.signed_by == ("/etc/keys/a.gpg", "/etc/keys/b.gpg")
    assert (source.trusted, source.check_valid_until, source.by_hash) == (True, False, "force")
    assert source.pinned == 1_795_219_200.0


def test_a_stanza_has_a_source_for_each_address_and_suite() -> None:
    text = f"""\
Types: deb deb-src
URIs: {URL} https://other.example.org/debian/
Suites: trixie trixie-updates
# a comment
Components: main
Architectures: amd64
By-Hash: no
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----
"""
    sources = parse_sources(text)
    assert [(each.uri, each.suite) for each in sources] == [
        (URL, "trixie"),
        (URL, "trixie-updates"),
        ("https://other.example.org/debian", "trixie"),
        ("https://other.example.org/debian", "trixie-updates"),
    ]
    assert sources[0].keys == (
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ\n-----END PGP PUBLIC KEY BLOCK-----\n"
    )
    assert sources[0].by_hash == "no"
    assert sources[0].signed_by == ()


@pytest.mark.parametrize(
    "field", ["Enabled: no", "Types: deb-src"], ids=["disabled", "source packages"]
)
def test_stanzas_that_give_nothing(field: str) -> None:
    types = "" if field.startswith("Types") else "Types: deb\n"
    assert parse_sources(f"{types}{field}\nURIs: {URL}\nSuites: trixie\nComponents: main\n") == []


@pytest.mark.parametrize(
    ("address", "folder"),
    [
        (f"{URL} ./", URL),
        (f"{URL} /", URL),
        (f"{URL} sub/folder/", f"{URL}/sub/folder"),
        ("file:///srv/debs ./", "/srv/debs"),
        ("file:/srv/de%20bs ./", "/srv/de bs"),
        ("/srv/debs ./", "/srv/debs"),
        ("./debs trixie main", "./debs/dists/trixie"),
    ],
)
def test_where_the_release_is(address: str, folder: str) -> None:
    assert read(f"deb {address}").folder == folder


def test_an_address_with_a_moment_pins() -> None:
    assert read("deb https://s.example.org/debian/20261121T000000Z trixie main").pinned
    assert read(f"deb {URL} trixie main").pinned is None
    template = "deb [snapshot=20261121T000000Z] https://s.example.org/@SNAPSHOTID@ trixie main"
    assert read(template).folder == "https://s.example.org/20261121T000000Z/dists/trixie"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (f"deb {URL} trixie", "the suite trixie needs a component"),
        (f"deb {URL} ./ main", "`./` is the folder of a flat archive, which has no components"),
        (f"deb {URL}", "a source needs a suite"),
        ("deb ./", "a source needs a suite"),
        (f"deb [arch] {URL} trixie main", "`arch` is no option of a source"),
        (f"deb [arch=amd46] {URL} trixie main", "`amd46` is no architecture of Debian"),
        (f"deb [arch=amd64 {URL} trixie main", "no `]` ends the options"),
        (f"Types: deb\nURI: {URL}\nSuites: trixie\n", "`URI` is no field of a source"),
        (f"Types: deb\nURIs: {URL}\nSignd-By: /k.gpg\n", "did you mean `Signed-By`?"),
        (f"deb [lang=de] {URL} trixie main", "`lang=de` is no option of a source"),
        (f"deb [signed-by=,] {URL} trixie main", "`Signed-By` names nobody"),
        (f"Types: deb\nURIs: {URL}\nSuites: x/\nSigned-By:\n", "`Signed-By` names nobody"),
        (f"deb [signed-by=key.asc] {URL} trixie main", "such as `./key.asc`"),
        (f"deb [signed-by=AB12] {URL} trixie main", "`AB12` is no fingerprint of a key"),
        (f"deb [trusted=maybe] {URL} trixie main", "`maybe` is neither yes nor no"),
        (f"deb [snapshot=yesterday] {URL} trixie main", "`yesterday` is no moment"),
        (f"deb [snapshot=20261341T000000Z] {URL} trixie main", "is no moment of a snapshot"),
        ("deb cdrom:disk trixie main", "sources over cdrom cannot be read"),
        ("deb-src https://x trixie main", "is no source of packages"),
        ("deb https://user:secret@x.org/debian trixie", "needs a component"),
    ],
)
def test_bad_sources(entry: str, says: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_sources(entry)
    told = [f"{problem.message} {problem.help}" for problem in error.value.problems]
    assert any(says in each for each in told)
    assert "secret" not in str(error.value)


def test_a_machines_own_files_may_say_what_nobody_knows() -> None:
    text = f"Types: deb\nURIs: {URL}\nSuites: trixie\nComponents: main\nName: mine\n"
    (source,) = parse_sources(text, strict=False)
    assert source.suite == "trixie"
    assert parse_sources(text.replace("Name:", "X-Name:").replace("URIs", "uris"))[0] == source


def test_what_is_a_debian_source() -> None:
    entries = ["deb trixie main", "deb", "Types: deb\n", "https://x/alpine/main", "@deb https://x"]
    assert [is_source(entry) for entry in entries] == [True, True, True, False, False]


# -- the machine's own -----------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    write("etc/os-release", 'ID=ubuntu\nID_LIKE="debian"\n')
    write("etc/apt/sources.list", f"# old\ndeb {URL} bookworm main # why\ndeb-src {URL} x main\n")
    security = "Types: deb\nURIs: https://sec.example.org/s\nSuites: bookworm-security\n"
    write("etc/apt/sources.list.d/s.sources", f"{security}Components: main\nSigned-By: /k.gpg\n")
    write("etc/apt/sources.list.d/a.list", "deb https://ppa.example.org/x ./\ndeb [odd=1] x y z\n")
    write("etc/apt/sources.list.d/off.list.disabled", "deb https://off.example.org/x ./\n")
    return Machine(tmp_path)


def test_all_files_of_apt_are_read(machine: Machine) -> None:
    assert machine.is_debian
    assert [str(source) for source in machine.sources()] == [
        f"deb {URL} bookworm main",
        "deb https://ppa.example.org/x ./",
        "deb https://sec.example.org/s bookworm-security main",
    ]
    assert complete(parse_sources("deb"), machine) == machine.sources()


def test_a_source_without_an_address_borrows_one(machine: Machine) -> None:
    entries = ["deb trixie main", "deb trixie-security main", "deb trixie-updates main contrib"]
    sources = complete([s for entry in entries for s in parse_sources(entry)], machine)
    assert [each.uri for each in sources] == [URL, "https://sec.example.org/s", URL]
    assert [each.identity for each in sources] == ["trixie", "trixie-security", "trixie-updates"]
    assert sources[1].signed_by == ("/k.gpg",)
    assert sources[2].components == ("main", "contrib")


def test_an_archive_of_somebody_else_lends_nothing_and_is_told_by_its_address(
    machine: Machine,
) -> None:
    other = "https://apt.example.org/engine"
    (machine.root / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    (machine.root / "etc/apt/sources.list").write_text(
        f"deb https://cloud.example.org/x sdk main\n"
        f"deb {other} bookworm stable\ndeb {URL} bookworm main\n"
    )
    asked = ["deb bookworm main", "deb trixie main", "deb bookworm stable"]
    sources = complete([s for entry in asked for s in parse_sources(entry)], machine)
    assert [each.uri for each in sources] == [URL, URL, other]
    identities = [each.identity for each in sources]
    assert identities == ["bookworm", "trixie", f"{other} bookworm"]
    assert locate(sources, f"{other} bookworm", "pool/x.deb") == f"{other}/pool/x.deb"
    assert locate(sources, "bookworm", "pool/x.deb") == f"{URL}/pool/x.deb"


def test_what_is_declared_goes_before_what_is_borrowed(machine: Machine) -> None:
    (source,) = complete(parse_sources("deb [signed-by=/mine.gpg] x-security main"), machine)
    assert source.signed_by == ("/mine.gpg",)
    entries = ["deb x-security main", "deb [signed-by=/mine.gpg] y-security main", "deb"]
    asked = [s for entry in entries for s in parse_sources(entry)]
    trusted = [each.signed_by for each in complete(asked, machine, with_keys=False)]
    assert trusted == [(), ("/mine.gpg",), (), (), ()]
    declared = read(f"deb {URL} trixie main")
    assert complete([declared], machine) == [declared]
    assert declared.identity == f"{URL} trixie"


def test_a_machine_without_sources_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as error:
        complete(parse_sources("deb trixie main"), Machine(tmp_path))
    (problem,) = error.value.problems
    assert problem.message == (
        "`deb trixie main` names no mirror, and this machine is no Debian that has one"
    )
    assert problem.help == "name a mirror: `deb https://MIRROR/debian trixie main`"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n")
    with pytest.raises(RequestError, match="apt has none on this machine"):
        complete(parse_sources("deb"), Machine(tmp_path))


def test_no_security_archive_is_no_archive(machine: Machine) -> None:
    (machine.root / "etc/apt/sources.list.d/s.sources").unlink()
    with pytest.raises(
        RequestError, match="none of this machine's sources is of security updates"
    ):
        complete(parse_sources("deb trixie-security main"), machine)


def test_a_lock_finds_its_packages_again_at_any_mirror(machine: Machine) -> None:
    sources = complete(parse_sources("deb trixie main"), machine)
    url = locate(sources, "trixie", "pool/main/h/hello.deb")
    assert url == f"{URL}/pool/main/h/hello.deb"
    with pytest.raises(RequestError, match="packages of `sid`, which is not among the sources"):
        locate(sources, "sid", "pool/x.deb")


def test_sources_are_values() -> None:
    source = read(f"deb {URL} trixie main")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(source), type=Source) == source
