"""Bad archives and packages, from the command line: what is told, and that nothing comes of them."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from build.conftest import Workshop
from fixtures import debmaker
from fixtures.debfile import Deb, ar, build_deb, compress, control_tar, data_tar
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.maker import file

APP = Deb("app", "1.0-1", [file("usr/bin/app", "a" * 5000)], fields={"Depends": "libapp"})
PLAIN = replace(APP, form="", control_form="")
"""As long as any other of its kind."""
LIBRARY = Deb("libapp", "1.2-3", [file("usr/lib/libapp.so", "x" * 5000)])
STRANGER = Signer("Somebody <else@example.org>")
YESTERDAY = email.utils.formatdate(time.time() - 86_400, usegmt=True)

Make = Callable[[Deb], bytes]
Members = Iterable[tuple[str, bytes]]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, and how it is told."""

    says: str
    """What stands on standard error, in one piece."""
    help: str = ""
    code: int = 3
    packages: str = "[app]"
    debs: Sequence[Deb] = (APP, LIBRARY)
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of the release."""
    signer: Signer | None = None
    make: Make = build_deb
    """Makes app; the index speaks of what it gives."""
    later: Callable[[Path], object] = lambda folder: None
    """What happens to the archive after it was signed."""


def members(change: Callable[[bytes, bytes], Members]) -> Make:
    """A .deb of the members that are made of its control and data members."""

    def make(deb: Deb) -> bytes:
        if deb.name != "app":
            return build_deb(deb)
        control, data = compress(control_tar(deb), "xz"), compress(data_tar(deb), "xz")
        return ar(*change(control, data))

    return make


def standing(*after: tuple[str, bytes]) -> Callable[[bytes, bytes], Members]:
    """The usual members, and more."""
    return lambda control, data: (
        *(("debian-binary", b"2.0\n"), ("control.tar.xz", control)),
        *(("data.tar.xz", data), *after),
    )


def with_data(name: str, change: Callable[[bytes], bytes]) -> Callable[[bytes, bytes], Members]:
    """The usual members, the last one changed."""
    return lambda control, data: (
        *(("debian-binary", b"2.0\n"), ("control.tar.xz", control)),
        (name, change(data)),
    )


def damage(data: bytes) -> bytes:
    """The bytes with one in the middle turned around."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def edit(pattern: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Change all files of an archive whose path fits."""

    def later(folder: Path) -> None:
        found = [path for path in folder.rglob(pattern) if path.is_file()]
        assert found
        for path in found:
            path.write_bytes(change(path.read_bytes()))

    return later


def rebuild(deb: Deb) -> Callable[[bytes], bytes]:
    """Another .deb in the place of what is there."""
    return lambda data: build_deb(deb)


PLACE = "app-1.0-1 from ./archive/pool/main/a/app/app_1.0-1_amd64.deb"

MISTAKES = {
    "expired release": Mistake(
        f"InRelease was valid until {YESTERDAY.replace('GMT', 'UTC')}, and is not any more",
        "the mirror may be behind",
        fields={"Valid-Until": YESTERDAY},
    ),
    "wrong key": Mistake(
        "and none of these keys is trusted", "looked in key.asc", signer=STRANGER
    ),
    "changed release": Mistake(
        "has no good signature", "changed after it was signed", later=edit(
            "InRelease", lambda text: text.replace(b"Codename: trixie", b"Codename: trixia")
        ),
    ),
    "changed index": Mistake(
        "is not what the release lists",
        "the mirror is being updated, or somebody changed the file",
        later=edit("**/binary-amd64/**/*", damage),
    ),
    "another build": Mistake(
        "app_1.0-1.deb is not the package of the index: its SHA-256 is",
        debs=[PLAIN, LIBRARY],
        later=edit("app_*.deb", rebuild(replace(PLAIN, items=[file("usr/bin/app", "b" * 5000)]))),
    ),
    "another package": Mistake(
        "app_1.0-1.deb calls itself ill 1.0-1: the name is not app",
        "one package in place of another",
        later=edit("app_*.deb", rebuild(Deb("ill"))),
    ),
    "longer package": Mistake("app_1.0-1.deb", later=edit("app_*.deb", lambda d: d + b"more")),
    "cut package": Mistake(
        "app_1.0-1.deb is cut off", "fetch it again", later=edit("app_*.deb", lambda d: d[:-300])
    ),
    "no package": Mistake(
        "there is no file ./archive/pool/main/a/app/app_1.0-1_amd64.deb",
        later=lambda folder: next(folder.rglob("app_*.deb")).unlink(),
    ),
    "a page instead": Mistake(
        "app_1.0-1.deb is no Debian package: it does not begin as an `ar` archive",
        later=edit("app_*.deb", lambda _: b"<html>404</html>\n"),
    ),
    "corrupt xz": Mistake(
        "the data member of app_1.0-1.deb is damaged, or is not xz",
        PLACE,
        make=members(with_data("data.tar.xz", damage)),
    ),
    "cut xz": Mistake(
        "the data member of app_1.0-1.deb is cut off",
        make=members(with_data("data.tar.xz", lambda data: data[:-40])),
    ),
    "xz and more": Mistake(
        "the data member of app_1.0-1.deb goes on after its end",
        make=members(with_data("data.tar.xz", lambda data: data + b"more")),
    ),
    "unknown form": Mistake(
        "app_1.0-1.deb has `data.tar.br`, a form that dpkg does not know",
        make=members(with_data("data.tar.br", bytes)),
    ),
    "second data member": Mistake(
        "app_1.0-1.deb has `data.tar.gz` besides, which some readers would take",
        "made to mislead",
        make=members(standing(("data.tar.gz", b""))),
    ),
    "members in another order": Mistake(
        "app_1.0-1.deb has `data.tar.xz` where `control.tar` should be",
        make=members(
            lambda control, data: (
                ("debian-binary", b"2.0\n"), ("data.tar.xz", data), ("control.tar.xz", control),
            )
        ),
    ),
    "no control member": Mistake(
        "app_1.0-1.deb has nothing where `control.tar` should be",
        make=members(lambda *_: [("debian-binary", b"2.0\n")]),
    ),
    "another version of the format": Mistake(
        "app_1.0-1.deb is of a format other than 2.0",
        make=members(lambda *_: [("debian-binary", b"3.0\n")]),
    ),
    "missing package": Mistake(
        "`ap` cannot be installed: the world asks for `ap`, which nothing provides\n"
        " --> image.yaml:4:14",
        "did you mean `app`?",
        2,
        packages="[ap]",
    ),
    "missing version": Mistake(
        "which nothing provides",
        "app exists only as 1.0-1 in trixie/main",
        2,
        packages="['app (>= 3)']",
    ),
    "missing dependency": Mistake(
        "app-1.0-1 needs `libapp`, which nothing provides",
        "add the suite or component that has `libapp`",
        2,
        debs=[APP],
    ),
    "impossible dependencies": Mistake(
        "app-1.0-1 needs `libapp`; libapp-1.2-3 conflicts with app-1.0-1 by `app`",
        "image.yaml:4:14",
        2,
        debs=[APP, Deb("libapp", "1.2-3", fields={"Conflicts": "app"})],
    ),
    "impossible circle": Mistake(
        "libapp-1.2-3 needs `app (>= 2)`, which nothing provides",
        "app exists only as 1.0-1",
        2,
        debs=[APP, Deb("libapp", "1.2-3", fields={"Depends": "app (>= 2)"})],
    ),
}  # fmt: skip


def put(workshop: Workshop, case: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the archive and the declaration of a case."""
    signer = Signer()
    signer.write(workshop.folder / "key.asc")
    archive = workshop.folder / "archive"
    with monkeypatch.context() as patch:
        patch.setattr(debmaker, "build_deb", case.make)
        described = Archive({"main": case.debs}, fields=case.fields)
        write_archive(archive, described, [case.signer or signer])
    case.later(archive)
    workshop.write(
        "contents:\n  repositories: ['deb ./archive trixie main']\n  keyring: [key.asc]\n"
        f"  packages: {case.packages}\n  essential: none\narchs: [amd64]\n"
    )


@pytest.mark.parametrize("name", MISTAKES)
def test_it_is_told_and_nothing_is_left(
    workshop: Workshop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = MISTAKES[name]
    put(workshop, case, monkeypatch)
    answer = workshop.run("build", "image.yaml", "-o", "image.tar")
    assert (answer.code, answer.out) == (case.code, ""), answer.err
    assert case.says in answer.err
    assert case.help in answer.err
    assert not (workshop.folder / "image.tar").exists()


def test_all_bad_packages_are_told_at_once(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(workshop, Mistake("", later=edit("*.deb", lambda d: d[:-300])), monkeypatch)
    answer = workshop.run("build", "image.yaml")
    assert "app_1.0-1.deb is cut off" in answer.err
    assert "libapp_1.2-3.deb is cut off" in answer.err
    assert "Found 2 errors." in answer.err


@pytest.mark.parametrize(
    "harmless",
    [
        Mistake("", debs=[APP, Deb("libapp", "1.2-3", fields={"Depends": "app"})]),
        Mistake("", make=members(standing(("_gpgorigin", b"signed")))),
    ],
    ids=["circle", "a member with an underscore"],
)
def test_what_is_only_unusual_is_built(
    workshop: Workshop, harmless: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(workshop, harmless, monkeypatch)
    assert workshop.build("image.yaml").startswith("sha256:")
