"""Images of .debs, from packages made on the spot: trees, what scripts add, layers, databases."""

from __future__ import annotations

import base64
import gzip
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from build.derived.conftest import make_certificate
from build.layering import read_layer, store
from fixtures.debfile import Deb, verify_made
from fixtures.elf import build_library
from fixtures.maker import Item, file, folder, symlink
from fixtures.memory import Memory
from imagist.build.compose import Base, Composed, compose
from imagist.build.contents import StoreContents
from imagist.build.derived.cabundle import put_ca_bundle
from imagist.build.derived.jks import parse_jks
from imagist.build.derived.pycache import find_interpreter
from imagist.build.derived.subjecthash import hash_subject
from imagist.build.formats.deb.packaging import DebPackaging, DebState
from imagist.build.layers import LayerBuilder
from imagist.declaration.model import Accounts, Declaration, User
from imagist.errors import CheckFailed, InputError, RequestError
from imagist.packages.deb import marks
from imagist.packages.deb.archive import DebFiles
from imagist.packages.selection import Selection, cut_package
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tree import Node, Tree
from support import needs

EPOCH = 1_600_000_000
BASE = Deb(
    "base-files",
    "13",
    [
        *(symlink(name, f"usr/{name}") for name in ("bin", "lib", "sbin")),
        *(folder(f"usr/{name}") for name in ("bin", "lib", "sbin")),
        file("usr/lib/os-release", "ID=debian\nVERSION_ID=13\n"),
        file("etc/ld.so.conf", "/usr/lib/x86_64-linux-gnu\n"),
        file("usr/share/base-files/profile", "PATH=/bin\n"),
    ],
    fields={"Essential": "yes"},
    scripts={
        "postinst": "#!/bin/sh\n[ -f /etc/profile ] || cp -p /usr/share/base-files/profile "
        "/etc/profile\nmkdir -p /var/mail\nchown root:mail /var/mail\nchmod 2775 /var/mail\n"
    },
)
LIBRARY = Deb(
    "libdemo1",
    "1.0-1",
    [file("usr/lib/x86_64-linux-gnu/libdemo.so.1", build_library("x86_64", "libdemo.so.1"))],
    fields={"Multi-Arch": "same", "Depends": "base-files"},
    scripts={"triggers": "activate-noawait ldconfig\n"},
)
OLD = Deb(
    "old-tool", "1", [file("bin/old", "#!/bin/sh\n", 0o755), file("lib/old.so", "x" * 90_000)]
)
EDITOR = Deb(
    "editor",
    "2",
    [file("usr/bin/vee", "v", 0o755), file("usr/share/man/man1/vee.1.gz", "m")],
    scripts={
        "postinst": "#!/bin/sh\nupdate-alternatives --install /usr/bin/editor editor /usr/bin/vee 30 "
        "--slave /usr/share/man/man1/editor.1.gz editor.1.gz /usr/share/man/man1/vee.1.gz\n"
    },
)
OTHER = Deb(
    "other-editor",
    "2",
    [file("usr/bin/ed", "e", 0o755)],
    scripts={
        "postinst": "#!/bin/sh\nupdate-alternatives --install /usr/bin/editor editor /usr/bin/ed 10\n"
    },
)
DAEMON = Deb(
    "daemon",
    "1",
    [folder("var/lib/daemon")],
    scripts={
        "preinst": "#!/bin/sh\nexit 0\n",
        "postinst": "#!/bin/sh\nif ! getent passwd demo >/dev/null; then adduser --system demo; fi\n",
    },
)  # fmt: skip


def add(*debs: Deb) -> list[DebFiles]:
    return [verify_made(deb, memory=cast("Memory", store())) for deb in debs]


def make(
    packages: Sequence[DebFiles],
    declaration: Declaration | None = None,
    base: Base | None = None,
    **state: object,
) -> Composed:
    packing = DebPackaging(DebState("amd64", **state))  # type: ignore[arg-type]
    contents = StoreContents(store())
    return compose(
        declaration or Declaration(), packages, contents, packing, epoch=EPOCH, base=base
    )


def read(tree: Tree, path: str) -> bytes:
    node = tree.find(path)
    assert node is not None, path
    return StoreContents(store()).read([node])[node.entry.path]


# -- the whole -------------------------------------------------------------------------------


def test_what_scripts_and_triggers_would_have_made_is_there() -> None:
    composed = make(add(BASE, LIBRARY, OLD, EDITOR))
    tree = composed.tree
    assert read(tree, "etc/profile") == b"PATH=/bin\n"
    mail = tree.get("var/mail")
    assert mail is not None
    assert (mail.entry.mode, mail.entry.gid) == (0o2775, 8)
    assert b"libdemo.so.1" in read(tree, "etc/ld.so.cache")
    assert read(tree, "usr/bin/editor") == b"v"
    assert read(tree, "usr/share/man/man1/editor.1.gz") == b"m"
    assert "usr/bin/old" in tree
    assert "bin/old" not in tree
    assert composed.warnings == ()


@pytest.mark.parametrize("strategy", ["package", "origin", "single"])
def test_layers_give_the_tree_however_packages_are_divided(strategy: str) -> None:
    packages = add(BASE, LIBRARY, OLD, EDITOR)
    composed = make(packages)
    built = LayerBuilder(store()).build(
        composed.tree, packages, composed.merged, strategy=strategy, budget=10
    )
    seen = flatten(read_layer(each.layer) for each in built)
    contents = StoreContents(store())
    for node in composed.tree:
        there = seen.get(node.entry.path)
        assert there is not None
        ours, theirs = node.entry, there.entry
        assert (ours.kind, ours.mode, ours.uid, ours.gid, ours.mtime, ours.link) == (
            theirs.kind, theirs.mode, theirs.uid, theirs.gid, theirs.mtime, theirs.link,
        )  # fmt: skip
        if ours.kind == "file":
            assert contents.read([node])[ours.path] == theirs.data
    assert len(list(seen)) == len(composed.tree)


def test_a_large_package_is_a_layer_that_names_its_deb() -> None:
    big = Deb(
        "big",
        "1",
        [
            file(
                "usr/share/big",
                bytes(range(256)) * 1000 + b"".join(i.to_bytes(4) for i in range(40_000)),
            )
        ],
    )
    packages = add(BASE, big, OLD)
    composed = make(packages)
    built = LayerBuilder(store()).build(
        composed.tree, packages, composed.merged, strategy="package", budget=10
    )
    found = {each.created_by: each.layer.digest for each in built}
    assert found[f"imagist: big-1, of the .deb sha256:{packages[1].sha256}"] == packages[1].data
    # Through /lib -> usr/lib the files of the old package lie elsewhere: it cannot be as it is.
    assert not any("old-tool-1, of the .deb" in line for line in found)


def test_where_a_package_merges_usr_it_is_merged() -> None:
    """Releases before trixie pack `/bin` as a folder, and have a script make the link."""
    old = Deb("base-files", "12", [folder("bin"), file("bin/sh", "s", 0o755), folder("lib64")])
    tree = make(add(old, OLD), merges_usr=True).tree
    for path in ("bin", "lib", "lib64", "sbin"):
        node = tree.get(path)
        assert node is not None
        assert node.entry.link == f"usr/{path}"
    assert {"usr/bin/sh", "usr/bin/old"} <= {node.entry.path for node in tree}
    assert "usr/bin/sh" not in make(add(old)).tree


def test_two_builds_are_alike() -> None:
    def digests() -> list[str]:
        packages = add(BASE, LIBRARY, EDITOR, OTHER)
        composed = make(packages, database="dpkg")
        built = LayerBuilder(store()).build(
            composed.tree, packages, composed.merged, strategy="package", budget=10
        )
        return [str(each.layer.digest) for each in built]

    assert digests() == digests()


# -- databases -------------------------------------------------------------------------------


def test_scanners_find_status_d_and_dpkg_its_own() -> None:
    packages = add(BASE, LIBRARY)
    scanned, full = make(packages).tree, make(packages, database="dpkg").tree
    assert read(scanned, "var/lib/dpkg/status.d/libdemo1").startswith(b"Package: libdemo1\n")
    assert b"libdemo.so.1" in read(scanned, "var/lib/dpkg/status.d/libdemo1.md5sums")
    assert "var/lib/dpkg/status" not in scanned
    assert read(full, "var/lib/dpkg/status").count(b"Status: install ok installed") == 2
    assert "var/lib/dpkg/info/libdemo1:amd64.list" in full
    assert "var/lib/dpkg/status.d" not in full


def test_a_base_with_dpkg_goes_on_with_it() -> None:
    below = make(add(BASE), database="dpkg").tree
    composed = make(add(LIBRARY), base=Base(nodes=tuple(below)))
    status = read(composed.tree, "var/lib/dpkg/status")
    assert re.findall(rb"^Package: (.*)$", status, re.MULTILINE) == [b"base-files", b"libdemo1"]
    assert "var/lib/dpkg/info/base-files.list" in composed.tree


def test_apt_is_told_what_nobody_asked_for() -> None:
    """So that `apt autoremove` can tell; essential packages stay in any case."""
    world = ("!nothing", "editor (>= 1) | vi")
    below = make(add(BASE, LIBRARY, EDITOR), database="dpkg", world=world).tree
    assert read(below, marks.PATH) == (
        b"Package: libdemo1\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    )
    above = make(add(OTHER), base=Base(nodes=tuple(below)), world=("libdemo1",)).tree
    name = add(OTHER)[0].package.name
    assert read(above, marks.PATH).startswith(f"Package: {name}\n".encode())
    assert b"libdemo1" not in read(above, marks.PATH)


def test_a_base_with_status_d_goes_on_with_that() -> None:
    below = make(add(BASE)).tree
    tree = make(add(LIBRARY), base=Base(nodes=tuple(below))).tree
    assert {"var/lib/dpkg/status.d/base-files", "var/lib/dpkg/status.d/libdemo1"} <= {
        node.entry.path for node in tree
    }
    assert "var/lib/dpkg/status" not in tree


def test_what_is_cut_is_in_no_layer_and_no_database() -> None:
    editor = cut_package(add(EDITOR)[0], Selection(slim=("man",)))
    composed = make([*add(BASE), editor])
    assert "usr/share/man" not in composed.tree
    assert "usr/share/man/man1/editor.1.gz" not in composed.tree
    assert b"man1" not in read(composed.tree, "var/lib/dpkg/status.d/editor.md5sums")
    assert composed.merged.altered == {"editor": "some of its files are left out"}


# -- scripts ---------------------------------------------------------------------------------


def test_scripts_that_are_not_understood_are_told_in_one_line() -> None:
    packages = add(BASE, DAEMON)
    said, account = make(packages).warnings
    assert account == "of daemon: it adds the user demo: declare it under `accounts`"
    assert said.startswith("scripts not run: 3; packages that are as if they had: 1; ")
    assert said.endswith("something may be missing: daemon (`scripts: fail` tells what)")
    assert make(packages, scripts="ignore").warnings == ()
    with pytest.raises(CheckFailed, match="the user demo: declare it under"):
        make(packages, scripts="fail")


def test_accounts_that_are_declared_satisfy_scripts() -> None:
    declaration = Declaration(
        accounts=Accounts(users=(User(username="demo", uid=500, homedir="/var/lib/daemon"),))
    )
    composed = make(add(BASE, DAEMON), declaration, scripts="fail")
    assert b"demo:x:500:" in read(composed.tree, "etc/passwd")


@pytest.mark.parametrize(
    "entry",
    [
        file("var/lib/dpkg/status", "Package: other\n"),
        file("var/lib/dpkg/status.d/other", "Package: other\n"),
        symlink("var/lib/dpkg/status.d", "/etc"),
    ],
)
def test_packages_do_not_bring_files_of_the_database(entry: Item) -> None:
    with pytest.raises(InputError, match=f"liar brings /{entry.path}, which belongs"):
        make(add(BASE, Deb("liar", "1", [entry])))


def test_priorities_choose_alternatives_unless_the_declaration_does() -> None:
    packages = add(BASE, OTHER, EDITOR)
    assert read(make(packages).tree, "usr/bin/editor") == b"v"
    chosen = make(packages, alternatives={"editor": "/usr/bin/ed"}, database="dpkg").tree
    assert read(chosen, "usr/bin/editor") == b"e"
    assert read(chosen, "var/lib/dpkg/alternatives/editor").split()[:2] == [
        b"manual",
        b"/usr/bin/editor",
    ]
    with pytest.raises(RequestError, match="no package offers that"):
        make(packages, alternatives={"editor": "/usr/bin/nano"})
    with pytest.raises(RequestError, match="no package offers an alternative editr") as error:
        make(packages, alternatives={"editr": "/usr/bin/ed"})
    assert error.value.problems[0].help == "did you mean `editor`?"


@needs("update-alternatives")
def test_update_alternatives_reads_what_is_kept(tmp_path: Path) -> None:
    tree = make(add(BASE, OTHER, EDITOR), database="dpkg").tree
    for path in ("var/lib/dpkg/alternatives/editor", "usr/bin/vee", "usr/bin/ed"):
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read(tree, path))
    command = ["update-alternatives", "--root", str(tmp_path), "--query", "editor"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Status: auto" in done.stdout
    assert (
        "Alternative: /usr/bin/vee\nPriority: 30\nSlaves:\n editor.1.gz /usr/share/man/man1/vee.1.gz"
        in done.stdout
    )


def test_packages_that_own_one_path_are_refused_unless_one_replaces_the_other() -> None:
    first, second = Deb("first", items=[file("a", "1")]), Deb("second", items=[file("a", "2")])
    with pytest.raises(InputError, match=r"first and second both own /a"):
        make(add(first, second))
    replacing = Deb("second", items=[file("a", "2")], fields={"Replaces": "first (<< 2)"})
    assert read(make(add(first, replacing)).tree, "a") == b"2"
    assert read(make(add(replacing, first)).tree, "a") == b"2"


# -- certificates and Python -----------------------------------------------------------------


def certificates() -> Tree:
    tree = Tree()
    for number, name in enumerate(("Äpfel  AG", "b (two)", "c, three")):
        certificate = make_certificate(name, number + 1)
        data = certificate.pem.rstrip(b"\n") if number else certificate.pem
        path = f"usr/share/ca-certificates/x/{name}.crt"
        tree.put(Node(file_entry(path, data), "ca-certificates"))
    return tree


def file_entry(path: str, data: bytes):  # type: ignore[no-untyped-def]
    from imagist.rootfs.entry import Entry

    return Entry(path, size=len(data), data=data)


def test_certificates_are_where_programs_look() -> None:
    tree = certificates()
    assert put_ca_bundle(tree, StoreContents(store()), epoch=7) == []
    bundle = read(tree, "etc/ssl/certs/ca-certificates.crt")
    assert bundle.count(b"-----BEGIN CERTIFICATE-----\n") == 3
    assert bundle.endswith(b"-----END CERTIFICATE-----\n")
    links = {n.entry.path.rpartition("/")[2]: n.entry.link for n in tree.symlinks()}
    names = {name: link for name, link in links.items() if name.endswith(".pem")}
    assert names == {
        "b_=two=.pem": "/usr/share/ca-certificates/x/b (two).crt",
        "c__three.pem": "/usr/share/ca-certificates/x/c, three.crt",
        "Äpfel__AG.pem": "/usr/share/ca-certificates/x/Äpfel  AG.crt",
    }
    hashes = {name: link for name, link in links.items() if not name.endswith(".pem")}
    assert set(hashes.values()) == set(names)
    assert read(tree, "etc/ca-certificates.conf").splitlines()[0] == b"x/b (two).crt"


def test_java_has_certificates_under_the_names_that_debian_gives_them() -> None:
    tree = certificates()
    put_ca_bundle(tree, StoreContents(store()), epoch=7)
    assert tree.find("etc/ssl/certs/java/cacerts") is None
    tree = certificates()
    put_ca_bundle(tree, StoreContents(store()), keystore=True, epoch=7)
    entries = parse_jks(read(tree, "etc/ssl/certs/java/cacerts"))
    assert [(each.alias, each.created) for each in entries] == [
        ("debian:b_=two=.pem", 7000),
        ("debian:c__three.pem", 7000),
        ("debian:äpfel__ag.pem", 7000),
    ]
    bundle = read(tree, "etc/ssl/certs/ca-certificates.crt")
    blocks = bundle.split(b"-----BEGIN CERTIFICATE-----")[1:]
    wanted = {base64.b64decode(block.partition(b"-----END")[0]) for block in blocks}
    assert {each.data for each in entries} == wanted


@needs("openssl")
@pytest.mark.parametrize("name", ["plain", "  Two   Words ", "ÄÖ ü", "MiXeD", "x" * 60])
def test_openssl_hashes_subjects_alike(name: str, tmp_path: Path) -> None:
    certificate = make_certificate(name, 1)
    path = tmp_path / "a.pem"
    path.write_bytes(certificate.pem)
    done = subprocess.run(
        ["openssl", "x509", "-in", str(path), "-noout", "-hash"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert hash_subject(certificate.der) == done.stdout.strip()


PYTHON = Deb(
    "python3.11-minimal",
    "3.11",
    [
        file("usr/bin/python3.11", "elf", 0o755),
        symlink("usr/bin/python3", "python3.11"),
        file("usr/lib/python3.11/good.py", "x = 1\ndef f(): return {1, 2, 3}\n"),
        file("usr/lib/python3.11/bad.py", "print 'two'\n"),
        file("usr/lib/python3/dist-packages/third.py", "import good\n"),
        file("usr/share/other.py", "x = 1\n"),
    ],
    scripts={"postinst": "#!/bin/sh\nset -e\npy_compile\n"},
)


@pytest.mark.skipif(find_interpreter(11) is None, reason="needs python3.11, not present here")
def test_python_modules_are_compiled_and_never_checked_again(tmp_path: Path) -> None:
    tree = make(add(BASE, PYTHON)).tree
    made = {n.entry.path: n.entry.data for n in tree if n.entry.path.endswith(".pyc")}
    assert set(made) == {
        "usr/lib/python3.11/__pycache__/good.cpython-311.pyc",
        "usr/lib/python3/dist-packages/__pycache__/third.cpython-311.pyc",
    }
    again = {
        n.entry.path: n.entry.data
        for n in make(add(BASE, PYTHON)).tree
        if n.entry.path.endswith(".pyc")
    }
    assert made == again
    for data in made.values():
        assert data[4:8] == b"\1\0\0\0"  # by hash, unchecked
    # A Python takes them without looking at the sources.
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "good.py").write_text("raise SystemExit(1)")
    (tmp_path / "__pycache__" / "good.cpython-311.pyc").write_bytes(
        made["usr/lib/python3.11/__pycache__/good.cpython-311.pyc"]
    )
    code = "import sys; sys.path.insert(0, sys.argv[1]); import good; print(good.x)"
    done = subprocess.run(
        [str(find_interpreter(11)), "-B", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1\n", done.stderr


def test_without_an_interpreter_of_that_version_it_is_said() -> None:
    deb = Deb(
        "python3.99", "3.99", [file("usr/lib/python3.99/a.py", "x = 1\n")],
        scripts={"postinst": "#!/bin/sh\n"},
    )  # fmt: skip
    (warning,) = make(add(BASE, deb)).warnings
    assert "no python3.99 here" in warning
    assert make(add(BASE, deb), pycache=False).warnings == ()


def test_blobs_are_plain_gzip() -> None:
    (files,) = add(LIBRARY)
    with store().open_blob(files.data) as stream:
        assert len(gzip.decompress(stream.read())) == files.tar_size
