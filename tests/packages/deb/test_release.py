"""Release files and their signatures, apart from where they come from."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.debmaker import Archive, Signer, format_release
from fixtures.maker import EPOCH
from imagist.errors import InputError, Untrusted
from imagist.packages.deb.openpgp import (
    Keyring,
    select_keys,
    verify_clearsigned,
    verify_detached,
)
from imagist.packages.deb.release import check_date, check_name, parse_release
from support import needs

pytest.importorskip("pysequoia")

FILES = {"main/binary-amd64/Packages.xz": b"index"}
TEXT = format_release(Archive({"main": []}), FILES)


# -- what a release says ---------------------------------------------------------------------


def test_the_fields_of_a_release() -> None:
    release = parse_release(TEXT, "file")
    assert (release.suite, release.codename, release.version) == ("stable", "trixie", "13.8")
    assert (release.components, release.architectures) == (("main",), ("all", "amd64", "arm64"))
    assert release.date == EPOCH
    assert release.valid_until is None
    assert release.acquire_by_hash
    assert not release.splits_all
    (listed,) = release.files.values()
    assert (listed.path, listed.size) == ("main/binary-amd64/Packages.xz", 5)


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({}, 500),
        ({"NotAutomatic": "yes"}, 1),
        ({"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"}, 100),
        ({"ButAutomaticUpgrades": "yes"}, 500),
    ],
)
def test_the_priority_of_a_suite(fields: dict[str, str], priority: int) -> None:
    release = parse_release(format_release(Archive({}, fields=fields), {}), "file")
    assert release.describe("main", "host").priority == priority


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("SHA256:", "SHA1:"), "lists no SHA-256"),
        (("Date: ", "Date: some "), "is no date"),
        (("main/binary", "../binary"), "leads out of its folder"),
        (("main/binary", "/binary"), "leads out of its folder"),
        (("main/binary-amd64/Packages.xz", ""), "has a line that is none"),
        (("Origin: Test\n", "Origin: Test\n\n"), "has 2 stanzas"),
        (("Origin: Test\n", "Origin: Test\norigin: Other\n"), "a second time"),
    ],
)
def test_bad_releases(change: tuple[str, str], says: str) -> None:
    with pytest.raises(InputError) as error:
        parse_release(TEXT.decode().replace(*change, 1).encode(), "file")
    assert says in str(error.value)


def test_a_file_that_is_listed_twice() -> None:
    other = f" {'0' * 64} 5 main/binary-amd64/Packages.xz\n"
    with pytest.raises(InputError, match="listed twice, with different hashes"):
        parse_release(TEXT + other.encode(), "file")


def test_text_that_is_not_utf8() -> None:
    with pytest.raises(InputError, match="is not UTF-8"):
        parse_release(b"Origin: \xff\n", "file")


@pytest.mark.parametrize(
    "text",
    [
        *("Sat, 21 Nov 2026 10:20:30 UTC", "Sat, 21 Nov 2026 10:20:30 +0000"),
        *("21 Nov 2026 10:20:30 GMT", "Sat, 21 Nov 2026 12:50:30 +0230"),
        *("Fri, 20 Nov 2026 23:20:30 -1100", "Sat, 21 Nov 2026 10:20:30 Z"),
    ],
)
def test_dates(text: str) -> None:
    described = Archive({}, fields={"Date": text, "Valid-Until": text})
    release = parse_release(format_release(described, {}), "file")
    assert release.date == release.valid_until == 1_795_256_430


def test_how_long_a_release_is_valid() -> None:
    fields = {"Valid-Until": "Tue, 21 Nov 2023 22:13:20 UTC"}
    release = parse_release(format_release(Archive({}, fields=fields), {}), "file")
    check_date(release, "it", now=EPOCH)
    check_date(release, "it", now=EPOCH + 1e9, check=False)
    check_date(release, "it", now=EPOCH + 1e9, check_end=False)
    with pytest.raises(Untrusted, match="it was valid until Tue, 21 Nov 2023"):
        check_date(release, "it", now=EPOCH + 1e9)


def test_a_release_of_days_to_come_is_refused() -> None:
    release = parse_release(TEXT, "file")
    assert release.date == EPOCH
    check_date(release, "it", now=EPOCH - 80_000)
    check_date(release, "it", now=EPOCH - 90_000, check=False)
    with pytest.raises(Untrusted, match="it is of Tue, 14 Nov 2023 22:13:20 UTC, which is to"):
        check_date(release, "it", now=EPOCH - 90_000)


@pytest.mark.parametrize(
    ("suite", "codename", "fits"),
    [
        ("trixie", "trixie", True),
        ("stable", "trixie", True),
        ("./", "trixie", True),
        ("trixie/updates", "trixie", True),
        ("trixie/updates", "trixie-security", True),
        ("trixie", "trixie-security", False),
        ("sid", "trixie", False),
    ],
)
def test_names_that_differ(suite: str, codename: str, fits: bool) -> None:
    archive = Archive({}, fields={"Codename": codename})
    release = parse_release(format_release(archive, {}), "file")
    if fits:
        assert check_name(release, suite, "it") == ""
        return
    says = f"it calls itself stable or {codename}, where {suite} was asked for"
    assert check_name(release, suite, "it", check=False) == says
    with pytest.raises(Untrusted, match=says):
        check_name(release, suite, "it")


def test_a_release_without_a_name_fits_any_suite() -> None:
    archive = Archive({}, label="", fields={"Codename": ""})
    assert check_name(parse_release(format_release(archive, {}), "file"), "sid", "it") == ""


# -- signatures ------------------------------------------------------------------------------

SIGNERS = [Signer(f"Archive {n} <{n}@example.org>") for n in range(3)]


def keyring(*signers: Signer, armored: bool = False) -> Keyring:
    return Keyring(
        "test.gpg",
        "".join(s.armored for s in signers).encode()
        if armored
        else b"".join(s.certificate for s in signers),
    )


def test_one_good_signature_of_several_will_do() -> None:
    signature = b"".join(signer.sign(TEXT, armor=False) for signer in SIGNERS[:2])
    for known in SIGNERS[:2]:
        verified = verify_detached(TEXT, signature, [keyring(known, SIGNERS[2])], "it", now=EPOCH)
        assert verified.signers == (known.fingerprint,)
    with pytest.raises(Untrusted) as error:
        verify_detached(TEXT, signature, [keyring(SIGNERS[2])], "it", now=EPOCH)
    assert "and none of these keys is trusted" in str(error.value)
    assert str(error.value).count(" and ") == 2


def test_thousands_of_signatures_are_not_looked_at() -> None:
    signature = SIGNERS[0].sign(TEXT, armor=False)
    verified = verify_detached(TEXT, signature * 64, [keyring(SIGNERS[0])], "it", now=EPOCH)
    assert verified.signers == (SIGNERS[0].fingerprint,)
    with pytest.raises(Untrusted, match="has 65 signatures"):
        verify_detached(TEXT, signature * 65, [keyring(SIGNERS[0])], "it", now=EPOCH)


def test_a_signature_of_another_text() -> None:
    signature = SIGNERS[0].sign(b"another text")
    with pytest.raises(Untrusted, match=r"do not hold"):
        verify_detached(TEXT, signature, [keyring(SIGNERS[0])], "it", now=EPOCH)
    with pytest.raises(Untrusted, match="the signature of it is none"):
        verify_detached(TEXT, b"rubbish", [keyring(SIGNERS[0])], "it", now=EPOCH)


@pytest.mark.parametrize("armored", [False, True])
def test_the_signed_text_is_what_is_given_back(armored: bool) -> None:
    text = b"- dash: 1\ntrailing: 2  \nFrom: 3\n"
    message = SIGNERS[0].clearsign(text)
    verified = verify_clearsigned(message, [keyring(SIGNERS[0], armored=armored)], "it", now=EPOCH)
    assert verified.text.rstrip(b"\n") == b"- dash: 1\ntrailing: 2\nFrom: 3"
    assert verified.signers == (SIGNERS[0].fingerprint,)


MESSAGE = SIGNERS[0].clearsign(TEXT)


@settings(deadline=None)  # keys are read anew each time, on whatever machine
@given(st.integers(0, len(MESSAGE) - 1), st.integers(1, 255))
def test_no_changed_byte_changes_the_text(place: int, change: int) -> None:
    """Whatever is changed, the text is the one that was signed, or none at all."""
    changed = bytearray(MESSAGE)
    changed[place] ^= change
    try:
        verified = verify_clearsigned(bytes(changed), [keyring(SIGNERS[0])], "it", now=EPOCH)
    except Untrusted:
        return
    lines = [line.rstrip(b" \t\r") for line in verified.text.split(b"\n")]
    assert b"\n".join(lines).rstrip(b"\n") == TEXT.rstrip(b"\n")


@pytest.mark.parametrize("inline", [True, False])
def test_a_key_must_be_good_today_and_not_only_when_it_signed(inline: bool) -> None:
    signer = Signer()
    message = signer.clearsign(TEXT) if inline else signer.sign(TEXT)
    time.sleep(2.1)  # the key expires a second ago, and signed before that
    expired = [Keyring("old", signer.expire().certificate)]

    def verify(now: float) -> bytes:
        if inline:
            return verify_clearsigned(message, expired, "it", now=now).text
        return verify_detached(TEXT, message, expired, "it", now=now).text

    with pytest.raises(Untrusted, match="expired on"):
        verify(time.time())
    assert verify(time.time() - 60).strip() == TEXT.strip()  # as for a snapshot of that moment


@needs("gpg")
def test_a_subkey_that_has_expired_counts_no_more(tmp_path: Path) -> None:
    gpg = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--passphrase", ""]

    def run(*words: str, data: bytes = b"") -> bytes:
        return subprocess.run([*gpg, *words], input=data, capture_output=True, check=True).stdout

    run("--quick-generate-key", "Sub <sub@example.org>", "ed25519", "cert", "never")
    (listed,) = [x for x in run("--list-keys", "--with-colons").splitlines() if x[:3] == b"fpr"]
    fingerprint = listed.split(b":")[9].decode()
    run("--quick-add-key", fingerprint, "ed25519", "sign", "seconds=3000")
    message = run("--clearsign", data=TEXT)
    keyring = [Keyring("sub", run("--export"))]
    assert verify_clearsigned(message, keyring, "it", now=time.time()).signers
    with pytest.raises(Untrusted, match="do not hold"):
        verify_clearsigned(message, keyring, "it", now=time.time() + 4000)


@needs("gpg")
def test_a_key_with_an_exclamation_mark_stands_for_no_other_of_its_certificate(
    tmp_path: Path,
) -> None:
    gpg = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--passphrase", ""]

    def run(*words: str, data: bytes = b"") -> bytes:
        return subprocess.run([*gpg, *words], input=data, capture_output=True, check=True).stdout

    def list_keys() -> list[str]:
        lines = run("--list-keys", "--with-colons", "--with-subkey-fingerprint").decode()
        return [line.split(":")[9] for line in lines.splitlines() if line.startswith("fpr")]

    run("--quick-generate-key", "Sub <sub@example.org>", "ed25519", "cert", "never")
    for _ in range(2):
        run("--quick-add-key", list_keys()[0], "ed25519", "sign", "never")
    primary, *subkeys = list_keys()
    ring = [Keyring("sub", run("--export"))]
    messages = [run("--clearsign", "-u", f"{key}!", data=TEXT) for key in subkeys]

    def is_signed(message: bytes, *keys: str) -> bool:
        with contextlib.suppress(Untrusted):
            return bool(
                verify_clearsigned(message, select_keys(ring, keys), "it", now=time.time())
            )
        return False

    first, second = subkeys
    for alike in ([first], [primary], [f"{first}!", second], [f"{first}!", f"{second}!"]):
        assert [is_signed(message, *alike) for message in messages] == [True, True]
    assert [is_signed(message, f"{first}!") for message in messages] == [True, False]
    assert [is_signed(message, f"{primary}!") for message in messages] == [False, False]


def test_keys_are_chosen_by_fingerprint() -> None:
    ring = keyring(*SIGNERS)
    (found,) = select_keys([ring], [SIGNERS[1].fingerprint.upper()])
    assert verify_clearsigned(SIGNERS[1].clearsign(TEXT), [found], "it", now=EPOCH).signers
    with pytest.raises(Untrusted):
        verify_clearsigned(MESSAGE, [found], "it", now=EPOCH)
    assert select_keys([ring], []) == [ring]


def test_without_the_verifier_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysequoia", None)
    with pytest.raises(InputError) as error:
        verify_clearsigned(MESSAGE, [keyring(SIGNERS[0])], "it", now=EPOCH)
    (problem,) = error.value.problems
    assert "pysequoia is not installed" in problem.message
    assert problem.help == (
        "pip install 'imagist[deb]', or 'imagist[all]' for every optional part"
    )
