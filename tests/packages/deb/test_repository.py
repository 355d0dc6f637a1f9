"""Archives made here, read from folders and from a server: what is loaded, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.debfile import Deb
from fixtures.debmaker import Archive, Signer, sign_release, write_archive, write_flat
from fixtures.maker import EPOCH
from fixtures.webserver import Answer, Web, serve
from imagist.errors import ImagistError, InputError, NotFound, Untrusted
from imagist.net.conditional import CachedGet
from imagist.net.environment import Environment
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import HttpTransport
from imagist.packages.deb.openpgp import Keyring, load_keyring_file
from imagist.packages.deb.repository import ArchiveLoader, Loaded, foreign_architectures, want
from imagist.packages.deb.sources import Source, parse_sources
from imagist.packages.reading import Reader
from imagist.store.store import Store

pytest.importorskip("pysequoia")

DAY = 86_400.0
MAIN = [
    Deb("hello", "1.0-1", fields={"Depends": "libc6 (>= 2.41)"}),
    Deb("libc6", "2.41-1", fields={"Multi-Arch": "same"}),
    Deb("libc6", "2.41-1", arch="arm64", fields={"Multi-Arch": "same"}),
    Deb("docs", "1", arch="all", fields={"Provides": "manual, guide (= 1)"}),
]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


Load = Callable[..., Loaded]


@pytest.fixture
def load(store: Store, signer: Signer, tmp_path: Path) -> Iterator[Load]:
    transport = HttpTransport(
        Environment(),
        patience=Patience(connect=2.0, stall=2.0),
        waiter=Waiter(sleep=lambda _: None),
    )

    def run(
        *entries: str | Source,
        archs: tuple[str, ...] = ("amd64",),
        now: float = EPOCH + DAY,
        keyrings: list[Keyring] | None = None,
        **options: object,
    ) -> Loaded:
        sources = [s for e in entries for s in (parse_sources(e) if isinstance(e, str) else [e])]
        declared = [Keyring("key.gpg", signer.certificate)] if keyrings is None else keyrings
        loader = ArchiveLoader(
            store,
            Reader(transport, CachedGet(transport, store)),
            now=now,
            keyrings=declared,
            root=tmp_path / "machine",
        )
        return loader.load(sources, archs, **options)  # type: ignore[arg-type]

    yield run
    transport.close()


@pytest.fixture
def archive(tmp_path: Path, signer: Signer) -> Path:
    return write_archive(tmp_path / "archive", Archive({"main": MAIN}), [signer])


def told(action: Callable[[], object], kind: type[ImagistError] = Untrusted) -> str:
    with pytest.raises(kind) as error:
        action()
    problem = error.value.problems[0]
    return f"{problem.message} | {problem.help}"


# -- what is loaded --------------------------------------------------------------------------


def test_an_archive_in_a_folder(load: Load, archive: Path, signer: Signer) -> None:
    loaded = load(f"deb {archive} trixie main", archs=("amd64", "arm64"))
    amd = loaded.universes["amd64"]
    assert [str(each) for each in amd.named("libc6")] == ["libc6-2.41-1"]
    assert [str(each) for each in amd.providers("manual")] == ["docs-1"]
    assert len(loaded.universes["arm64"].named("hello")) == 0
    assert loaded.releases[0].signers == (signer.fingerprint,)
    hello = amd.named("hello")[0]
    assert hello.url == f"{archive}/pool/main/h/hello/hello_1.0-1_amd64.deb"
    assert Path(hello.url).stat().st_size == hello.package.size
    assert want(hello).sha256 == hello.package.sha256
    assert (hello.source, hello.package.filename) == (
        f"{archive} trixie",
        hello.url[len(str(archive)) + 1 :],
    )
    assert (hello.suite.codename, hello.suite.component) == ("trixie", "main")
    assert loaded.warnings == ()


def test_an_index_is_had_by_its_hash_and_only_once(load: Load, archive: Path, web: Web) -> None:
    url = web.serve_folder(archive)
    for _ in range(2):
        load(f"deb {url} trixie main")
    asked = [each.path for each in web.asked]
    indexes = [path for path in asked if "binary-amd64" in path]
    assert len(indexes) == 1
    assert "/by-hash/SHA256/" in indexes[0]
    assert asked.count("/dists/trixie/InRelease") == 2


def test_by_hash_is_done_without_where_it_is_not_offered(
    load: Load, tmp_path: Path, signer: Signer, web: Web
) -> None:
    archive = Archive({"main": MAIN}, listed=False, forms=("xz",))
    url = web.serve_folder(write_archive(tmp_path / "a", archive, [signer]))
    load(f"deb {url} trixie main")
    assert [each.path for each in web.asked][1:] == ["/dists/trixie/main/binary-amd64/Packages.xz"]


@pytest.mark.parametrize("form", ["", "gz", "xz", "zst", "bz2"])
def test_indexes_in_every_form(load: Load, tmp_path: Path, signer: Signer, form: str) -> None:
    archive = Archive({"main": MAIN}, forms=(form,))
    root = write_archive(tmp_path / "a", archive, [signer])
    assert load(f"deb {root} trixie main").universes["amd64"].named("hello")


def test_a_listed_form_that_is_not_there_is_passed_over(load: Load, archive: Path) -> None:
    for path in archive.glob("dists/trixie/main/binary-amd64/**/*"):
        if path.is_file() and path.suffix != ".xz":
            path.unlink()
    assert load(f"deb {archive} trixie main").universes["amd64"].named("hello")


def test_a_form_that_is_not_as_listed_is_passed_over(load: Load, archive: Path) -> None:
    folder = archive / "dists/trixie/main/binary-amd64"
    xz = (folder / "Packages.xz").read_bytes()
    for path in folder.rglob("*"):
        if path.is_file() and path.read_bytes() != xz:
            path.write_bytes(b"newer than the release")
    assert load(f"deb {archive} trixie main").universes["amd64"].named("hello")


def test_several_suites_and_components(load: Load, tmp_path: Path, signer: Signer) -> None:
    root = tmp_path / "a"
    newer = [Deb("libc6", "2.41-1+deb13u1")]
    write_archive(root, Archive({"main": MAIN, "contrib": [Deb("extra")]}), [signer])
    updates = Archive({"updates/main": newer}, suite="trixie-security", label="stable-security")
    write_archive(root, updates, [signer])
    loaded = load(f"deb {root} trixie main contrib", f"deb {root} trixie-security main")
    universe = loaded.universes["amd64"]
    assert [each.version for each in universe.named("libc6")] == ["2.41-1+deb13u1", "2.41-1"]
    assert universe.named("extra")[0].suite.component == "contrib"
    assert [each.source.suite for each in loaded.releases] == ["trixie", "trixie-security"]


def test_a_flat_archive(load: Load, tmp_path: Path, signer: Signer, web: Web) -> None:
    root = write_flat(tmp_path / "flat", [Deb("driver", arch="all"), Deb("tool")], [signer])
    for entry in (f"deb {root} ./", f"deb {web.serve_folder(root)} /"):
        universe = load(entry).universes["amd64"]
        assert [str(each) for each in universe.named("tool")] == ["tool-1.0-1"]
        assert universe.named("driver")[0].url.endswith("/driver_1.0-1_all.deb")


def test_an_index_of_packages_for_all_architectures(
    load: Load, tmp_path: Path, signer: Signer
) -> None:
    archive = Archive(
        {"main": MAIN},
        architectures=("all", "amd64"),
        fields={"No-Support-for-Architecture-all": "", "Architectures": "all amd64"},
    )
    root = write_archive(tmp_path / "a", archive, [signer])
    loaded = load(f"deb {root} trixie main")
    assert [index.arch for index in loaded.indexes] == ["amd64", "all"]
    assert len(loaded.universes["amd64"].named("docs")) == 1


def test_packages_of_another_architecture(load: Load, archive: Path) -> None:
    foreign = {"amd64": foreign_architectures(["hello", "libc6:arm64", "libc6:amd64"], "amd64")}
    assert foreign == {"amd64": ("arm64",)}
    loaded = load(f"deb {archive} trixie main", foreign=foreign)
    universe = loaded.universes["amd64"]
    assert [each.name for each in universe.providers("libc6")] == ["libc6", "libc6:arm64"]
    assert universe.named("libc6", "arm64")[0].foreign == "arm64"


# -- who is trusted --------------------------------------------------------------------------


def test_a_signature_beside_the_release(load: Load, tmp_path: Path, signer: Signer) -> None:
    root = write_archive(tmp_path / "a", Archive({"main": MAIN}), [Signer(), signer], inline=False)
    assert load(f"deb {root} trixie main").releases[0].signers == (signer.fingerprint,)


def test_keys_of_a_source_go_before_declared_ones(
    load: Load, archive: Path, signer: Signer, tmp_path: Path
) -> None:
    right, wrong = signer.write(tmp_path / "right.asc"), Signer().write(tmp_path / "wrong.gpg")
    load(f"deb [signed-by={right}] {archive} trixie main", keyrings=[])
    says = told(lambda: load(f"deb [signed-by={wrong}] {archive} trixie main"))
    assert "none of these keys is trusted" in says


def test_a_key_within_a_stanza(load: Load, archive: Path, signer: Signer) -> None:
    key = "\n".join(f" {line or '.'}" for line in signer.armored.strip().splitlines())
    entry = f"Types: deb\nURIs: {archive}\nSuites: trixie\nComponents: main\nSigned-By:\n{key}\n"
    assert load(entry, keyrings=[]).releases[0].signers == (signer.fingerprint,)


def test_the_keys_of_the_machine(
    load: Load, archive: Path, signer: Signer, tmp_path: Path
) -> None:
    entry = f"deb {archive} trixie main"
    assert "there is no key to verify" in told(lambda: load(entry, keyrings=[]), InputError)
    signer.write(tmp_path / "machine/usr/share/keyrings/test.gpg")
    assert load(entry, keyrings=[]).universes
    chosen = f"deb [signed-by={signer.fingerprint[-16:].upper()}] {archive} trixie main"
    assert load(chosen, keyrings=[]).universes
    other = f"deb [signed-by={'A' * 16}] {archive} trixie main"
    assert "there is no key aaaaaaaaaaaaaaaa" in told(lambda: load(other, keyrings=[]), NotFound)


def test_a_failure_names_the_keys_and_what_to_write(load: Load, archive: Path) -> None:
    stranger = [Keyring("other.gpg", Signer("Other <other@example.org>").certificate)]
    says = told(lambda: load(f"deb {archive} trixie main", keyrings=stranger))
    assert "InRelease is signed by " in says
    assert "none of these keys is trusted" in says
    assert "looked in other.gpg; name the right keyring in `signed-by`" in says


def test_a_changed_release_is_refused(load: Load, archive: Path) -> None:
    path = archive / "dists/trixie/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Version: 13.8", b"Version: 13.9"))
    says = told(lambda: load(f"deb {archive} trixie main"))
    assert "has no good signature" in says
    assert "Test Archive <archive@example.org>" in says


def test_what_stands_around_the_signed_text_does_not_count(load: Load, archive: Path) -> None:
    path = archive / "dists/trixie/InRelease"
    forged = b"SHA256:\n " + b"0" * 64 + b" 1 main/binary-amd64/Packages\n"
    signed = path.read_bytes()
    path.write_bytes(signed + forged)
    with contextlib.suppress(Untrusted):  # refusing it is as good
        assert load(f"deb {archive} trixie main").universes["amd64"].named("hello")
    path.write_bytes(b"Origin: forged\n\n" + signed)
    assert "is not signed" in told(lambda: load(f"deb {archive} trixie main"))


def test_an_expired_key_is_named(load: Load, archive: Path, signer: Signer) -> None:
    expired = [Keyring("old.gpg", signer.expire().certificate)]
    says = told(lambda: load(f"deb {archive} trixie main", keyrings=expired))
    assert "Test Archive <archive@example.org>, expired on " in says


def test_an_unsigned_archive_must_be_called_trusted(
    load: Load, tmp_path: Path, signer: Signer
) -> None:
    root = write_archive(tmp_path / "a", Archive({"main": MAIN}), [])
    says = told(lambda: load(f"deb {root} trixie main"))
    assert "is not signed: there is no Release.gpg" in says
    assert "`trusted=yes`" in says
    loaded = load(f"deb [trusted=yes] {root} trixie main")
    assert loaded.releases[0].signers == ()


def test_a_keyring_that_is_none(load: Load, archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.gpg"
    path.write_bytes(b"this is no key")
    says = told(
        lambda: load(f"deb {archive} trixie main", keyrings=[load_keyring_file(path)]), InputError
    )
    assert f"the keyring {path} cannot be used" in says
    assert "\n" not in says


# -- how long it holds -----------------------------------------------------------------------


@pytest.fixture
def ending(tmp_path: Path, signer: Signer) -> Path:
    """Valid for a week."""
    until = {"Valid-Until": "Tue, 21 Nov 2023 22:13:20 UTC"}
    archive = Archive({"main": MAIN}, fields=until)
    return write_archive(tmp_path / "20231115T000000Z" / "archive", archive, [signer])


def test_a_release_that_is_over_is_refused(load: Load, ending: Path, tmp_path: Path) -> None:
    entry = f"deb {ending.parent.parent}/link trixie main"
    (ending.parent.parent / "link").symlink_to(ending)
    assert load(entry, now=EPOCH + 6 * DAY).universes
    says = told(lambda: load(entry, now=EPOCH + 8 * DAY))
    assert "was valid until Tue, 21 Nov 2023 22:13:20 UTC" in says
    unchecked = entry.replace("deb ", "deb [check-valid-until=no] ")
    assert load(unchecked, now=EPOCH + 8 * DAY).universes


def test_a_snapshot_is_valid_at_its_moment(load: Load, ending: Path) -> None:
    assert load(f"deb {ending} trixie main", now=EPOCH + 900 * DAY).universes
    folder = str(ending).replace("20231115T000000Z", "@SNAPSHOTID@")
    entry = f"deb [snapshot=20231115T000000Z] {folder} trixie main"
    assert load(entry, now=EPOCH + 900 * DAY).universes


def test_an_archive_that_says_where_its_snapshots_are(
    load: Load, tmp_path: Path, signer: Signer, web: Web
) -> None:
    url = web.url
    field = {"Snapshots": f"{url}/snapshots/@SNAPSHOTID@/"}
    today = write_archive(tmp_path / "a", Archive({"main": MAIN}, fields=field), [signer])
    old = write_archive(tmp_path / "b", Archive({"main": MAIN[1:]}), [signer])
    web.serve_folder(today, "/debian")
    web.serve_folder(old, "/snapshots/20231115T000000Z")
    entry = f"deb [snapshot=20231115T000000Z] {url}/debian trixie main"
    universe = load(entry).universes["amd64"]
    assert not universe.named("hello")
    assert "/snapshots/20231115T000000Z/pool/" in universe.named("libc6")[0].url
    plain = write_archive(tmp_path / "c", Archive({"main": MAIN}), [signer])
    other = f"deb [snapshot=20231115T000000Z] {plain} trixie main"
    assert "does not say where its snapshots are" in told(lambda: load(other), InputError)


# -- what is not as listed -------------------------------------------------------------------


def test_an_index_that_is_not_the_one_listed(load: Load, archive: Path) -> None:
    for path in archive.glob("dists/trixie/main/binary-amd64/**/*"):
        if path.is_file():
            data = path.read_bytes()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "is not what the release lists" in told(lambda: load(f"deb {archive} trixie main"))


def test_an_index_that_is_listed_with_more_than_is_read(
    load: Load, tmp_path: Path, signer: Signer
) -> None:
    archive = write_archive(tmp_path / "a", Archive({"main": MAIN}, forms=("",)), [signer])
    release = (archive / "dists/trixie/InRelease").read_bytes().split(b"\n\n", 1)[1]
    text = re.sub(rb"( [0-9a-f]{64}) +[0-9]+", rb"\1 999999999999999", release)
    sign_release(archive / "dists/trixie", text.split(b"\n-----")[0] + b"\n", [signer])
    says = told(lambda: load(f"deb {archive} trixie main"), InputError)
    assert "lists main/binary-amd64/Packages with 999999999999999 bytes" in says


def test_an_index_that_is_longer_than_listed(load: Load, archive: Path, web: Web) -> None:
    url = web.serve_folder(archive)
    for path in archive.glob("dists/trixie/main/binary-amd64/**/*"):
        if path.is_file():
            web.on(f"/{path.relative_to(archive)}", Answer(body=path.read_bytes() + b"x"))
    says = told(lambda: load(f"deb {url} trixie main"))
    assert "more than the" in says


def test_a_damaged_index_that_was_listed_that_way(
    load: Load, tmp_path: Path, signer: Signer
) -> None:
    root = write_archive(tmp_path / "a", Archive({"main": MAIN}, forms=("gz",)), [signer])
    path = root / "dists/trixie/main/binary-amd64/Packages.gz"
    broken = gzip.compress(b"Package: x\n")[:-9]
    path.write_bytes(broken)
    listed = f"{hashlib.sha256(broken).hexdigest()} {len(broken)} main/binary-amd64/Packages.gz"
    text = f"Suite: trixie\nSHA256:\n {listed}\n"
    sign_release(root / "dists/trixie", text.encode(), [signer])
    assert "Packages.gz" in told(lambda: load(f"deb {root} trixie main"))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("deb {} bullseye main", "there is no release at"),
        ("deb {} trixie universe", "trixie has no component universe | it has main"),
    ],
)
def test_what_an_archive_does_not_have(load: Load, archive: Path, entry: str, says: str) -> None:
    assert says in told(lambda: load(entry.format(archive)), NotFound)


def test_an_architecture_that_nobody_has(load: Load, archive: Path) -> None:
    entry = f"deb {archive} trixie main"
    assert "no source has packages for s390x" in told(
        lambda: load(entry, archs=("s390x",)), NotFound
    )


def test_all_failures_are_told_at_once(load: Load, archive: Path) -> None:
    with pytest.raises(ImagistError) as error:
        load(f"deb {archive} one main", f"deb {archive} two main")
    assert len(error.value.problems) == 2


def test_another_suite_than_asked_for_is_refused(load: Load, archive: Path) -> None:
    (archive / "dists/sid").symlink_to("trixie")
    says = "calls itself stable or trixie, where sid was asked for"
    refusal = told(lambda: load(f"deb {archive} sid main"))
    assert says in refusal
    assert "write `check-suite=no`" in refusal
    for option in ("check-suite=no", "trusted=yes"):
        (warning,) = load(f"deb [{option}] {archive} sid main").warnings
        assert says in warning


def test_a_release_of_days_to_come_is_refused(load: Load, archive: Path) -> None:
    source = f"{archive} trixie main"
    assert "which is to come" in told(lambda: load(f"deb {source}", now=EPOCH - 2 * DAY))
    assert load(f"deb [check-date=no] {source}", now=EPOCH - 2 * DAY).releases


def test_a_table_that_was_damaged_is_made_anew(load: Load, archive: Path, store: Store) -> None:
    entry = f"deb {archive} trixie main"
    load(entry)
    for blob in store.blobs.folder.iterdir():
        if b"debindex" in blob.read_bytes():
            blob.chmod(0o644)
            blob.write_bytes(b"damaged")
    assert load(entry).universes["amd64"].named("hello")
