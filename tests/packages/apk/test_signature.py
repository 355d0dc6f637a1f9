from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fixtures.maker import Apk, Item, build_apk, gzip, make_index, sign_index, write_tar
from fixtures.maker import Key as Signer
from fixtures.maker import load_key as load_signer
from imagist.errors import InputError, Untrusted
from imagist.packages.apk.index import split_index
from imagist.packages.apk.signature import Key, key_from_jwk, load_key, verify_signatures
from support import TESTDATA, needs

DEMO, OTHER = load_signer("demo"), load_signer("other")
SIGNED = b"what is signed" * 100


def key_of(signer: Signer, name: str = "") -> Key:
    return load_key(name or signer.name, signer.public_pem)


def trust(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


def sign(signer: Signer, algorithm: str = "RSA256", name: str = "") -> tuple[str, bytes]:
    value = signer.sign(SIGNED, "RSA" if algorithm == "RSA" else "RSA256")
    return f".SIGN.{algorithm}.{name or signer.name}", value


@pytest.mark.parametrize("algorithm", ["RSA", "RSA256"])
def test_signature_by_a_trusted_key(algorithm: str) -> None:
    entries = [sign(DEMO, algorithm)]
    assert verify_signatures(entries, SIGNED, trust(key_of(DEMO)), "it") == DEMO.name


def test_one_trusted_signature_of_several_suffices() -> None:
    wrong = (sign(OTHER)[0], b"\0" * 256)
    entries = [sign(OTHER, name="unknown.rsa.pub"), wrong, sign(DEMO)]
    keys = trust(key_of(DEMO), key_of(OTHER))
    assert verify_signatures(entries, SIGNED, keys, "it") == DEMO.name


@pytest.mark.parametrize("theirs", ["me", "me.rsa.pub"])
@pytest.mark.parametrize("ours", ["me", "me.rsa.pub"])
def test_key_names_with_and_without_suffix(theirs: str, ours: str) -> None:
    keys = trust(key_of(DEMO, ours))
    assert verify_signatures([sign(DEMO, name=theirs)], SIGNED, keys, "it") == ours


def test_unknown_algorithms_are_passed_over() -> None:
    unknown = [(f".SIGN.{name}.{DEMO.name}", b"x") for name in ("DSA", "RSA512", "ED25519")]
    keys = trust(key_of(DEMO))
    assert verify_signatures([*unknown, sign(DEMO)], SIGNED, keys, "it") == DEMO.name
    with pytest.raises(Untrusted, match="it has no RSA signature"):
        verify_signatures(unknown, SIGNED, keys, "it")


def test_algorithm_is_not_guessed() -> None:
    name, value = sign(DEMO, "RSA")
    with pytest.raises(Untrusted, match="does not match"):
        verify_signatures(
            [(name.replace("RSA", "RSA256"), value)], SIGNED, trust(key_of(DEMO)), ""
        )


def test_unsigned_is_untrusted() -> None:
    with pytest.raises(Untrusted, match="the index is not signed"):
        verify_signatures([], SIGNED, trust(key_of(DEMO)), "the index")


def test_unknown_key_is_named_and_so_are_the_trusted_ones() -> None:
    with pytest.raises(Untrusted) as caught:
        verify_signatures([sign(OTHER)], SIGNED, trust(key_of(DEMO)), "the index")
    assert OTHER.name in str(caught.value)
    assert f"trusted keys: {DEMO.name}" in str(caught.value)
    with pytest.raises(Untrusted, match="none at all"):
        verify_signatures([sign(OTHER)], SIGNED, {}, "the index")


def test_changed_content_is_told_from_an_unknown_key() -> None:
    with pytest.raises(Untrusted) as caught:
        verify_signatures([sign(DEMO)], SIGNED + b"!", trust(key_of(DEMO)), "the index")
    assert f"does not match its signature by {DEMO.name}" in str(caught.value)
    assert "trusted keys" not in str(caught.value)


def test_another_key_under_a_trusted_name_is_refused() -> None:
    with pytest.raises(Untrusted, match="does not match"):
        verify_signatures([sign(OTHER, name=DEMO.name)], SIGNED, trust(key_of(DEMO)), "it")


def test_content_is_asked_for_only_when_a_key_is_known() -> None:
    asked: list[bool] = []

    def content() -> bytes:
        asked.append(True)
        return SIGNED

    with pytest.raises(Untrusted):
        verify_signatures([sign(OTHER)], content, trust(key_of(DEMO)), "it")
    assert asked == []
    verify_signatures([sign(DEMO)], content, trust(key_of(DEMO)), "it")
    assert asked == [True]


def test_signature_over_nothing_is_refused() -> None:
    """An archive that has signature and content in one member signs nothing."""
    value = DEMO.sign(b"", "RSA256")
    items = [Item(f".SIGN.RSA256.{DEMO.name}", content=value), Item("APKINDEX", content=b"")]
    archive = split_index(gzip(write_tar(items)))
    with pytest.raises(Untrusted, match="in one gzip member"):
        verify_signatures(archive.signatures, archive.signed, trust(key_of(DEMO)), "it")


def test_index_of_the_fixture_maker_and_its_corruption() -> None:
    segment = make_index([build_apk(Apk("hello"), "x86_64")])
    keys = trust(key_of(DEMO))
    archive = split_index(sign_index(segment, DEMO))
    assert verify_signatures(archive.signatures, archive.signed, keys, "it") == DEMO.name
    other = split_index(sign_index(make_index([build_apk(Apk("evil"), "x86_64")]), None))
    with pytest.raises(Untrusted):
        verify_signatures(archive.signatures, other.signed, keys, "it")


REAL = [
    ("rsa256-signed/APKINDEX.tar.gz", "rsa256-signed/test-rsa256.rsa.pub"),
    ("minirepo/x86_64/APKINDEX.tar.gz", "minirepo/melange.rsa.pub"),
    ("minirepo/aarch64/APKINDEX.tar.gz", "minirepo/melange.rsa.pub"),
    ("privaterepo/x86_64/APKINDEX.tar.gz", "privaterepo/private_pkg_key.rsa.pub"),
]
CHAINGUARD = sorted((TESTDATA / "apk" / "signing" / "keys").glob("*.pub"))
REAL += [("signing/APKINDEX.tar.gz", str(key.relative_to(TESTDATA / "apk"))) for key in CHAINGUARD]


@needs("shared")
@pytest.mark.parametrize(("index", "key"), REAL)
def test_real_indexes_verify_with_each_of_their_keys(index: str, key: str) -> None:
    archive = split_index((TESTDATA / "apk" / index).read_bytes())
    file = TESTDATA / "apk" / key
    keys = trust(load_key(file.name, file.read_bytes()), key_of(OTHER))
    assert verify_signatures(archive.signatures, archive.signed, keys, index) == file.name
    changed = bytearray(archive.signed)
    changed[len(changed) // 2] ^= 1
    with pytest.raises(Untrusted, match="does not match"):
        verify_signatures(archive.signatures, bytes(changed), keys, index)


@needs("shared")
def test_alpine_index_by_a_key_that_is_not_here() -> None:
    folder = TESTDATA / "apk" / "alpine-3.16"
    archive = split_index((folder / "APKINDEX.tar.gz").read_bytes())
    [file] = folder.glob("*.pub")
    keys = trust(load_key(file.name, file.read_bytes()))
    with pytest.raises(
        Untrusted, match=r"signed by alpine-devel@lists\.alpinelinux\.org-6165ee59"
    ):
        verify_signatures(archive.signatures, archive.signed, keys, "the index of Alpine 3.16")


# -- keys ------------------------------------------------------------------------------------


def encode_number(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8)
    return urlsafe_b64encode(data).decode().rstrip("=")


def jwk_of(signer: Signer, kid: object = "demo") -> dict[str, object]:
    numbers = signer.private.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "n": encode_number(numbers.n), "e": encode_number(numbers.e)}


def test_key_of_a_key_set_is_the_key_of_the_file() -> None:
    assert key_from_jwk(jwk_of(DEMO)) == Key("demo.rsa.pub", DEMO.public_pem)
    assert key_from_jwk(jwk_of(DEMO, "demo.rsa.pub")).name == "demo.rsa.pub"


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "EC"},
        {"kid": "../../etc/passwd"},
        {"kid": ".hidden"},
        {"kid": ""},
        {"kid": None},
        {"n": None},
        {"n": ""},
        {"n": "AQ"},
        {"n": "é"},
        {"e": 65537},
    ],
)
def test_bad_key_of_a_key_set_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="key"):
        key_from_jwk(jwk_of(DEMO) | change)


def test_key_file_that_is_no_rsa_key_is_refused() -> None:
    for private in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        public = private.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(InputError, match="not an RSA key"):
            load_key("k.rsa.pub", pem)
    for data in (b"", b"<html>", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(InputError, match="not a public key in PEM form"):
            load_key("k.rsa.pub", data)


@pytest.mark.parametrize("name", ["../k.rsa.pub", "a/b", "", ".k", "k\n", "k k"])
def test_key_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="file name"):
        load_key(name, DEMO.public_pem)


def test_names_of_distributions_are_key_names() -> None:
    for name in ("alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub", "wolfi-signing.rsa.pub"):
        assert load_key(name, DEMO.public_pem).name == name
