"""Whom images of Debian packages trust, and that a build answered from memory trusts no longer."""

from __future__ import annotations

import email.utils
import json
import time
from pathlib import Path

import pytest

from build.conftest import Workshop
from fixtures.debfile import Deb
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.maker import file
from imagist.build import trace

APP = Deb("app", "1.0-1", [file("usr/bin/app", "a", 0o755)])


def offer(folder: Path, signer: Signer, *debs: Deb, until: float | None = None) -> None:
    ends = {"Valid-Until": email.utils.formatdate(until, usegmt=True)} if until else {}
    archive = Archive({"main": debs or (APP,)}, fields=ends)
    write_archive(folder / "archive", archive, [signer])


def declare(workshop: Workshop, source: str, *keyring: str) -> None:
    workshop.write(
        f"contents:\n  repositories: ['{source}']\n  keyring: [{', '.join(keyring)}]\n"
        "  packages: [app]\n  essential: none\narchs: [amd64]\n"
    )


@pytest.fixture
def signer(workshop: Workshop) -> Signer:
    signer = Signer()
    offer(workshop.folder, signer)
    signer.write(workshop.folder / "key.asc")
    declare(workshop, "deb [signed-by=./key.asc] ./archive trixie main")
    return signer


@pytest.mark.usefixtures("signer")
def test_a_changed_key_file_is_noticed(workshop: Workshop) -> None:
    workshop.build("image.yaml")
    Signer("Somebody <else@example.org>").write(workshop.folder / "key.asc")
    answer = workshop.run("build", "image.yaml")
    assert answer.code == 3
    assert "none of these keys is trusted" in answer.err
    assert "looked in ./key.asc" in answer.err
    (workshop.folder / "key.asc").unlink()
    answer = workshop.run("build", "image.yaml")
    assert answer.code == 3
    assert "there is no keyring ./key.asc, which `signed-by` names" in answer.err


def test_a_release_that_is_over_is_not_built_from_memory(
    workshop: Workshop, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = time.time() + 1000
    offer(workshop.folder, signer, until=until)
    digest = workshop.build("image.yaml")
    monkeypatch.setattr("time.time", lambda: until - 1)
    assert workshop.build("image.yaml") == digest
    monkeypatch.setattr("time.time", lambda: until + 1)
    answer = workshop.run("build", "image.yaml")
    assert answer.code == 3
    assert "was valid until" in answer.err


def test_a_key_is_asked_for_again_another_day(
    workshop: Workshop, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.build("image.yaml")
    signer.expire().write(workshop.folder / "expired.asc")
    notes = trace.Note("file", "./key.asc", trace.file_digest("./key.asc"))
    real = trace.file_digest  # the file seems unchanged: as if the key's own time had come
    monkeypatch.setattr(
        trace, "file_digest", lambda path: notes.digest if path == notes.name else real(path)
    )
    (workshop.folder / "expired.asc").replace(workshop.folder / "key.asc")
    assert workshop.run("build", "image.yaml").code == 0
    monkeypatch.setattr("time.strftime", lambda *_: "2999-01-01")
    answer = workshop.run("build", "image.yaml")
    assert answer.code == 3
    assert "expired on" in answer.err


def test_keys_are_shown_with_what_they_are_trusted_for(workshop: Workshop, signer: Signer) -> None:
    other = Signer("Another Archive <another@example.org>")
    other.write(workshop.folder / "other.gpg")
    workshop.write(
        "contents:\n  repositories:\n"
        "    - 'deb [signed-by=./key.asc] ./archive trixie main'\n"
        "    - 'deb ./elsewhere trixie main'\n"
        "  keyring: [other.gpg]\n  packages: [app]\narchs: [amd64]\n"
    )
    shown = workshop.run("show", "keys", "image.yaml")
    first, second = shown.out.splitlines()
    known, unknown = signer.fingerprint.upper(), other.fingerprint.upper()
    assert first == f"{known} (Test Archive <archive@example.org>)  deb ./archive trixie main"
    assert second.startswith(f"{unknown} (Another Archive <another@example.org>)  deb ./elsewhere")
    declare(workshop, "deb ./archive trixie main", "key.asc")
    (row,) = json.loads(workshop.run("show", "keys", "image.yaml", "--json").out)
    assert row["trusted_for"] == "every repository"
    assert row["pem"].startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
