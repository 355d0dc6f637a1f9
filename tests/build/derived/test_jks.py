"""Java keystores: what is read is written again byte by byte, and keytool agrees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.build.derived.jks import KeystoreEntry, format_jks, parse_jks
from imagist.errors import InputError, Untrusted
from support import find_tool, needs

from .conftest import make_certificate

entries = st.lists(
    st.builds(
        KeystoreEntry,
        alias=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        created=st.integers(0, 2**63 - 1),
        data=st.binary(max_size=50),
    ),
    unique_by=lambda entry: entry.alias,
    max_size=5,
)


@given(entries, st.text(max_size=5).filter(str.isprintable))
def test_entries_survive_writing_and_reading(items: list[KeystoreEntry], password: str) -> None:
    data = format_jks(items, password)
    assert parse_jks(data, password) == sorted(items, key=lambda entry: entry.alias)
    assert format_jks(parse_jks(data, password), password) == data


def test_an_alias_uses_the_two_bytes_java_writes_for_nul_and_surrogates() -> None:
    data = format_jks([KeystoreEntry("a\0😀", 0)])
    assert b"\x00\x09a\xc0\x80\xed\xa0\xbd\xed\xb8\x80" in data


def test_another_password_does_not_fit() -> None:
    with pytest.raises(Untrusted, match="cacerts does not have the checksum"):
        parse_jks(format_jks([]), "other", what="cacerts")


@pytest.mark.parametrize("at", [0, 4, 11, 13, 20, 40])
def test_a_changed_byte_is_noticed(at: int) -> None:
    data = bytearray(format_jks([KeystoreEntry("alias", 1, data=b"certificate")]))
    data[at] ^= 1
    with pytest.raises(InputError):
        parse_jks(bytes(data))


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_a_keystore_that_ends_early_is_refused(size: int) -> None:
    with pytest.raises(InputError):
        parse_jks(format_jks([KeystoreEntry("alias", 1, data=b"certificate")])[:size])


def test_a_pkcs12_keystore_is_refused_with_the_next_step() -> None:
    with pytest.raises(InputError, match=r"cacerts is a PKCS#12 keystore") as caught:
        parse_jks(b"\x30\x82\x01\x02", what="cacerts")
    assert "deststoretype JKS" in str(caught.value.problems[0].help)


@needs("keytool")
def test_keytool_reads_what_is_written_and_its_keystores_are_kept(tmp_path: Path) -> None:
    def keytool(*arguments: str) -> str:
        command = [find_tool("keytool") or "keytool", *arguments, "-storepass", "changeit"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    store, pem = tmp_path / "cacerts", tmp_path / "a.pem"
    pem.write_bytes(make_certificate("A", 1).pem)
    kind = ("-storetype", "JKS", "-keystore", str(store))
    keytool("-importcert", "-noprompt", *kind, "-alias", "ZZ-top", "-file", str(pem))
    names = ("-alias", "secret", "-dname", "CN=k", "-keyalg", "EC", "-keypass", "changeit")
    keytool("-genkeypair", *kind, *names)

    before = parse_jks(store.read_bytes())
    assert {entry.alias: entry.kind for entry in before} == {
        "secret": "private key",
        "zz-top": "certificate",
    }
    added = KeystoreEntry("bär", 1_700_000_000_000, data=make_certificate("B", 2).der)
    store.write_bytes(format_jks([*before, added]))
    listed = keytool("-list", *kind)
    assert "Your keystore contains 3 entries" in listed
    assert "trustedCertEntry" in listed
    assert "PrivateKeyEntry" in listed
    exported = tmp_path / "out.der"
    keytool("-exportcert", *kind, "-alias", "bär", "-file", str(exported))
    assert exported.read_bytes() == added.data
