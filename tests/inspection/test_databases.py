"""Package databases of every kind: what they list, who owns what, and what is made of damage."""

from __future__ import annotations

from collections import Counter
from typing import Any, BinaryIO

import pytest

from imagist.errors import InputError, Untrusted
from imagist.inspection import layers, view
from imagist.inspection.databases import is_database
from imagist.inspection.describe import describe
from imagist.inspection.difference import compare_two
from imagist.inspection.view import View, view_image
from imagist.oci.derive import BytesLayer
from imagist.oci.mutate import set_config
from imagist.packages.installed import Installed
from imagist.rootfs.entry import Entry
from inspection.described import file, folder, hardlink, image, installed, layer, symlink

DPKG = "var/lib/dpkg"
MD5 = "0" * 32


def stanza(name: str, version: str = "1", arch: str = "amd64", **more: str) -> str:
    fields = {"Package": name, "Version": version, "Architecture": arch, **more}
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def status(*stanzas: str) -> Entry:
    return file(f"{DPKG}/status", "\n".join(stanzas))


def listed(key: str, *paths: str) -> Entry:
    return file(f"{DPKG}/info/{key}.list", "".join(f"/{path}\n" for path in (".", *paths)))


def alone(name: str, *paths: str, **fields: str) -> list[Entry]:
    """A package of an image without dpkg."""
    sums = "".join(f"{MD5}  {path}\n" for path in paths)
    folder_ = f"{DPKG}/status.d"
    control = file(f"{folder_}/{name}", stanza(name, **fields))
    return [control, file(f"{folder_}/{name}.md5sums", sums)]


OK = {"Status": "install ok installed"}
ONE = status(stanza("one", **OK))


def look(*entries: Entry) -> View:
    return view_image(image(layer(*entries)))


def owners(found: View) -> dict[str, str]:
    return {path: package.name for path, package in found.owners.items()}


def versions(found: View) -> dict[str, str]:
    return {package.name: package.version for package in found.packages}


def test_dpkg_lists_what_is_installed_and_owns_links_too() -> None:
    found = look(
        status(
            stanza("one", "1:2-3", Source="from-one (1:2)", **OK),
            stanza("held", Status="hold ok installed"),
            stanza("gone", Status="deinstall ok config-files"),
            stanza("half", Status="install ok unpacked"),
            "Package: never\nStatus: install ok not-installed\n",
        ),
        listed("one", "bin", "bin/a", "bin/link", "bin/absent"),
        listed("gone", "etc/left"),
        folder("bin"), file("bin/a"), symlink("bin/link", "a"), file("etc/left"),
    )  # fmt: skip
    assert found.packages[0] == Installed("one", "1:2-3", "amd64", "from-one")
    assert [str(package) for package in found.packages] == ["one-1:2-3", "held-1"]
    assert owners(found) == {"bin/a": "one", "bin/link": "one"}


def test_images_without_dpkg_list_files_by_their_sums() -> None:
    found = look(
        *alone("one", "usr/bin/a", "./usr/bin/b", "/usr/bin/c", Source="src"),
        *alone("two", version="2"),
        file(f"{DPKG}/status.d/two.md5sums", f"{MD5} *usr/bin/d\n\nno sum\n"),
        *(file(f"usr/bin/{name}") for name in "abcd"),
    )
    assert versions(found) == {"one": "1", "two": "2"}
    assert found.packages[0].origin == "src"
    assert owners(found) == {
        "usr/bin/a": "one", "usr/bin/b": "one", "usr/bin/c": "one", "usr/bin/d": "two",
    }  # fmt: skip


def test_paths_of_before_merged_usr_lead_to_where_files_are() -> None:
    merged = [folder("usr/bin"), symlink("bin", "usr/bin"), file("usr/bin/sh")]
    for database in ([ONE, listed("one", "bin/sh")], alone("one", "bin/sh")):
        assert owners(look(*merged, *database)) == {"usr/bin/sh": "one"}


def test_what_one_package_took_from_another_is_its_own() -> None:
    found = look(
        status(stanza("a-taker", **OK), stanza("loser", **OK)),
        listed("a-taker", "bin/x"),
        listed("loser", "bin/x", "bin/y", "bin/z"),
        file(
            f"{DPKG}/diversions", "/bin/x\n/bin/x.real\na-taker\n/bin/y\n/bin/y.real\n:\n/bin/z\n"
        ),
        *(file(f"bin/{name}") for name in ("x", "x.real", "y", "y.real", "z")),
    )
    assert owners(found) == {
        "bin/x": "a-taker", "bin/x.real": "loser", "bin/y.real": "loser", "bin/z": "loser",
    }  # fmt: skip


def test_a_package_of_two_architectures_is_two() -> None:
    found = look(
        status(*(stanza("lib", arch=arch, **OK) for arch in ("amd64", "i386")),
               stanza("game", arch="i386", **OK), stanza("data", arch="all", **OK)),
        listed("lib:amd64", "lib64"), listed("lib:i386", "lib32"), listed("game", "game"),
        file("lib64"), file("lib32"), file("game"),
    )  # fmt: skip
    assert list(versions(found)) == ["lib", "lib:i386", "game:i386", "data"]
    assert owners(found) == {"lib64": "lib", "lib32": "lib:i386", "game": "game:i386"}


def test_an_architecture_that_debian_does_not_have_is_no_obstacle() -> None:
    what = set_config(image(layer(ONE)), {"architecture": "sparc64"})
    assert versions(view_image(what)) == {"one:amd64": "1"}


def test_an_image_may_have_several_databases() -> None:
    entries = [
        installed(busybox=["bin/busybox"], both=["bin/both"]),
        status(stanza("one", **OK), stanza("both", "2", **OK)),
        listed("one", "usr/bin/one"),
        *alone("one"),
        *alone("two", "usr/bin/two"),
        *(file(path) for path in ("bin/busybox", "bin/both", "usr/bin/one", "usr/bin/two")),
    ]
    found = look(*entries)
    assert [str(each) for each in found.packages] == [
        "busybox-1", "both-1", "one-1", "both-2", "two-1",
    ]  # fmt: skip
    assert owners(found) == {
        "bin/busybox": "busybox", "bin/both": "both", "usr/bin/one": "one", "usr/bin/two": "two",
    }  # fmt: skip
    newer = [status(stanza("both", "3", **OK), stanza("one", **OK))]
    told = compare_two("x", found.image, image(layer(*entries), layer(*newer))).packages
    assert [(each.name, each.old, each.new) for each in told] == [("both", "2", "3")]


def test_later_layers_have_the_last_word() -> None:
    below = layer(ONE, listed("one", "a", "b"), file("a"), file("b"))
    above = layer(
        status(stanza("one", "2", **OK)), listed("one", "a"), file("a", "new"), file(".wh.b")
    )
    found = view_image(image(below, above))
    assert versions(found) == {"one": "2"}
    report = describe(found.image, "linux/amd64", found, files=True, layers=True)
    assert [each.packages for each in report.layers] == [("one-2",), ("one-2",)]
    assert {each.path: each.package for each in report.files or ()}["a"] == "one"
    purged = layer(file(f"{DPKG}/.wh.status"), file(f"{DPKG}/info/.wh.one.list"))
    assert view_image(image(below, purged)).packages == ()


OPENED: Counter[str] = Counter()


class Watched(BytesLayer, frozen=True):
    """A layer that counts how often it is opened."""

    def compressed(self) -> BinaryIO:
        OPENED[self.digest] += 1
        return super().compressed()


def look_counting(*entries: Entry) -> tuple[View, int]:
    OPENED.clear()
    made = layer(*entries)
    found = view_image(image(Watched(made.data, made.diff_id, made.media_type)))
    return found, OPENED.total()


def test_databases_are_kept_while_layers_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [ONE, listed("one", "a"), *alone("two", "b"), installed(three=["c"]),
               *(file(name) for name in "abc")]  # fmt: skip
    found, opened = look_counting(*entries)
    assert (len(owners(found)), opened) == (3, 1)
    monkeypatch.setattr(layers, "_KEPT", 40)  # no room: once more for all of them together
    monkeypatch.setattr(layers.list_layer, "__kwdefaults__", {"hashed": False, "keep": 40})
    again, opened = look_counting(*entries)
    assert (again.packages, again.owners, opened) == (found.packages, found.owners, 2)


@pytest.mark.parametrize(
    "entries",
    [
        [symlink("var/lib/dpkg", "/usr/dpkg"),
         file("usr/dpkg/status", ONE.data), file("usr/dpkg/info/one.list", "/x\n")],
        [file("real", ONE.data), symlink(f"{DPKG}/status", "/real"), listed("one", "x")],
        [file("real", ONE.data), hardlink(f"{DPKG}/status", "real"), listed("one", "x")],
        [symlink("var/lib/dpkg/status.d", "../elsewhere"), file("var/lib/elsewhere/one", stanza("one")),
         file("var/lib/elsewhere/one.md5sums", f"{MD5}  x\n")],
    ],
)  # fmt: skip
def test_databases_are_found_wherever_they_are_reached(entries: list[Entry]) -> None:
    found, opened = look_counting(file("x"), *entries)
    assert (owners(found), opened) == ({"x": "one"}, 2)


def test_what_a_vendor_wrote_is_taken_as_it_is() -> None:
    """dpkg takes all of this into its own database."""
    text = (
        f"\n\n{stanza('Vendor_App', '1.0_beta', '', Status='install ok installed')}"
        "Description: caf\udce9\r\n with a return\r\n \x07\n\n\n"
        f"{stanza('one', **OK)}"
    )
    found = look(
        file(f"{DPKG}/status", text.encode("utf-8", "surrogateescape")),
        file(f"{DPKG}/info/Vendor_App.list", b"/caf\xe9\n"),
        file("caf\udce9"),
    )
    assert versions(found) == {"Vendor_App": "1.0_beta", "one": "1"}
    assert owners(found) == {"caf\udce9": "Vendor_App"}


def test_paths_that_lead_out_stay_inside_and_own_no_folder() -> None:
    long = "/".join(["a", "."] * 3000)
    found = look(
        ONE, listed("one", "../../etc/x", "", ".", "..", "etc", "etc/../etc/y", long),
        folder("etc"), file("etc/x"), file("etc/y"),
    )  # fmt: skip
    assert owners(found) == {"etc/x": "one", "etc/y": "one"}


@pytest.mark.parametrize(
    ("entries", "where", "says"),
    [
        ([status("Version: 1\n")], "/var/lib/dpkg/status", "no usable name: ``"),
        ([status(stanza("../one"))], "/var/lib/dpkg/status", "no usable name: `../one`"),
        ([status(stanza("one\x1b"))], "/var/lib/dpkg/status", "no usable name"),
        ([status(stanza("o" * 300))], "/var/lib/dpkg/status", "no usable name"),
        ([status("Package: one\n")], "/var/lib/dpkg/status", "one in the database has no usable version"),
        ([file(f"{DPKG}/status.d/one", b"\0" * 99)], "/var/lib/dpkg/status.d/one", "no usable name"),
        ([file("lib/apk/db/installed", "P:x\nV:1\n")], "/lib/apk/db/installed", "no SHA-1"),
    ],
)  # fmt: skip
def test_damage_is_told_with_its_place(entries: list[Entry], where: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        look(*entries)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert says in problem.message


def test_symlinks_in_a_circle_are_an_error_of_ours() -> None:
    with pytest.raises(InputError, match="symlinks"):
        look(symlink(f"{DPKG}/status", "status"))


def test_a_long_list_is_read_for_one_package_only() -> None:
    """Else few bytes of stanzas would make much work of it."""
    stanzas = [stanza("one", **OK)] * 20_000
    paths = [f"a/{number}" for number in range(50_000)]
    found = look(status(*stanzas), listed("one", *paths, "x"), file("x"))
    assert (versions(found), owners(found)) == ({"one": "1"}, {"x": "one"})


def test_what_databases_may_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    links = [symlink(f"{DPKG}/status.d/p{number}", "one") for number in range(9)]
    found = [*alone("one"), *links]
    assert len(look(*found).packages) == 1
    monkeypatch.setattr(view, "_MAX_DATABASES", 400)
    with pytest.raises(Untrusted, match="databases of the image"):
        look(*found)
    monkeypatch.undo()
    monkeypatch.setattr(view, "_MAX_PACKAGES", 3)
    with pytest.raises(Untrusted, match="more than 3 packages"):
        look(status(*(stanza(f"p{number}") for number in range(4))))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("lib/apk/db/installed", True),
        ("usr/lib/apk/db/installed", True),
        (f"{DPKG}/status", True),
        (f"{DPKG}/status.d/one", True),
        (f"{DPKG}/diversions", True),
        (f"{DPKG}/info/one:amd64.list", True),
        (f"{DPKG}/info/one.md5sums", False),
        (f"{DPKG}/status-old", False),
        (f"{DPKG}/status.d/a/b", False),
        (f"x/{DPKG}/status", False),
    ],
)
def test_databases_are_told_by_their_paths(path: str, answer: Any) -> None:
    assert is_database(path) is answer
