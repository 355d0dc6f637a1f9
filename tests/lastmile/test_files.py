"""Files of a project as a layer: what is in it, how, and what is read of it a second time."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import time
from pathlib import Path

import pytest

from fixtures.elf import build_library, build_program
from imagist.digest import Digest
from imagist.editing.additions import Addition, find_items
from imagist.errors import InputError, NotFound, RequestError
from imagist.lastmile import filetable
from imagist.lastmile.binary import check_binary, check_loader, choose_binary
from imagist.lastmile.files import FileRule, write_files
from imagist.lastmile.filetable import FileTable, is_settled
from imagist.oci.image import Layer
from imagist.oci.platform import Platform, parse_platform
from imagist.rootfs.capabilities import parse_capabilities
from imagist.rootfs.entry import Entry
from imagist.rootfs.linkage import Linkage
from imagist.rootfs.tree import Node, Tree
from imagist.store.store import Store
from lastmile.layering import Found, read_layer
from support import needs

OLD = 1_000_000_000


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in {
        "app/main.py": "print(1)\n",
        "app/run.sh": "#!/bin/sh\n",
        ".git/HEAD": "ref",
        "app/__pycache__/main.pyc": "x",
        "notes.md": "n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        os.utime(folder / name, (OLD, OLD))
    (folder / "app" / "run.sh").chmod(0o700)
    return folder


def write(store: Store, *rules: FileRule, base: Tree | None = None) -> Layer:
    table = FileTable(store, "/")
    layer = write_files(store, rules, table=table, base=base)
    table.keep()
    return layer


def test_a_project_as_source(store: Store, project: Path) -> None:
    found = read_layer(write(store, FileRule(str(project), "/app")))
    assert found == {
        "app": Found("directory", 0o755),
        "app/app": Found("directory", 0o755),
        "app/app/main.py": Found("file", 0o644, b"print(1)\n"),
        "app/app/run.sh": Found("file", 0o755, b"#!/bin/sh\n"),
        "app/notes.md": Found("file", 0o644, b"n"),
    }


def test_modes_and_the_ignore_file_are_declared(store: Store, project: Path) -> None:
    (project / ".dockerignore").write_text("**/*.py\n")
    rule = FileRule(str(project), "/srv/www", mode=0o440, folder_mode=0o750)
    found = read_layer(write(store, rule))
    assert {path: entry.mode for path, entry in found.items()} == {
        "srv": 0o755,
        "srv/www": 0o750,
        "srv/www/app": 0o750,
        "srv/www/app/run.sh": 0o440,
        "srv/www/notes.md": 0o440,
    }
    everything = read_layer(write(store, FileRule(str(project), "/x", ignore=False)))
    assert "x/.git/HEAD" in everything


def test_ignored_folders_that_were_entered_for_nothing_are_not_there(
    store: Store, project: Path
) -> None:
    (project / ".dockerignore").write_text("app\n!app/nothing\n!**/HEAD\n")
    assert set(read_layer(write(store, FileRule(str(project), "/")))) == {
        ".git",
        ".git/HEAD",
        "notes.md",
    }


def test_later_rules_go_over_earlier_ones(store: Store, project: Path) -> None:
    one = FileRule(str(project / "notes.md"), "/a/b.txt")
    two = FileRule(str(project / "app" / "main.py"), "/a/b.txt", mode=0o600)
    assert read_layer(write(store, one, two))["a/b.txt"] == Found("file", 0o600, b"print(1)\n")


def test_folders_and_links_of_the_base_stay(store: Store, project: Path) -> None:
    base = Tree()
    base.put(Node(Entry("tmp", "directory", 0o1777)))
    base.put(Node(Entry("opt", "symlink", 0o777, link="tmp")))
    found = read_layer(write(store, FileRule(str(project / "notes.md"), "/opt/x/"), base=base))
    assert found == {
        "tmp": Found("directory", 0o1777),
        "tmp/x": Found("directory", 0o755),
        "tmp/x/notes.md": Found("file", 0o644, b"n"),
    }


def test_the_clock_and_the_umask_do_not_matter(store: Store, project: Path) -> None:
    one = write(store, FileRule(str(project), "/app"))
    for path in project.rglob("*"):
        path.chmod(path.stat().st_mode | 0o077)
        os.utime(path, (OLD + 5, OLD + 5))
    assert write(store, FileRule(str(project), "/app")).digest == one.digest


@pytest.mark.parametrize("link", ["../../secret", "/etc/../..{project}/notes.md"])
def test_links_that_lead_out_are_refused(store: Store, project: Path, link: str) -> None:
    target = str(project / "notes.md") if "{project}" in link else link
    (project / "app" / "link").symlink_to(target)
    with pytest.raises(InputError, match="leads out of the folder"):
        write(store, FileRule(str(project), "/app"))


def test_links_inside_stay_links(store: Store, project: Path) -> None:
    (project / "app" / "link").symlink_to("../notes.md")
    (project / "app" / "python").symlink_to("/usr/bin/python3")
    found = read_layer(write(store, FileRule(str(project), "/app")))
    assert found["app/app/link"].link == "../notes.md"
    assert found["app/app/python"].link == "/usr/bin/python3"


def test_refusals(store: Store, project: Path) -> None:
    with pytest.raises(NotFound):
        write(store, FileRule(str(project / "absent"), "/app"))
    with pytest.raises(RequestError, match="not an absolute path"):
        write(store, FileRule(str(project), "app"))
    (project / ".dockerignore").write_text("*\n")
    with pytest.raises(InputError, match="everything is ignored"):
        write(store, FileRule(str(project), "/"))


# What is read


def read_twice(store: Store, project: Path) -> list[str]:
    """What a build reads to learn the digests."""
    table = FileTable(store, project)
    for item in find_items(Addition(str(project), "/")):
        if item.kind == "file":
            table.digest(item)
    table.keep()
    return [Path(name).name for name in table.read]


def settle() -> None:
    time.sleep(0.07)


def test_a_warm_build_reads_only_what_changed(store: Store, project: Path) -> None:
    settle()
    assert len(read_twice(store, project)) == 5
    assert read_twice(store, project) == []
    (project / "app" / "main.py").write_text("print(2)\n")
    settle()
    assert read_twice(store, project) == ["main.py"]
    assert read_twice(store, project) == []
    (project / "notes.md").unlink()
    assert read_twice(store, project) == []


def test_a_file_replaced_with_the_same_times_is_seen(store: Store, project: Path) -> None:
    """Size and mtime are the same: the inode and the time of change tell."""
    settle()
    read_twice(store, project)
    other = project / "other"
    other.write_text("m")
    os.utime(other, (OLD, OLD))
    other.replace(project / "notes.md")
    settle()
    assert read_twice(store, project) == ["notes.md"]


def test_what_changed_just_before_it_was_read_is_read_again(
    store: Store, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Racy, in git's words: another change could have had the same time."""
    monkeypatch.setattr(filetable, "_RACE", 60_000_000_000)  # however slow this machine is
    (project / "notes.md").write_text("x")
    read_twice(store, project)
    assert "notes.md" in read_twice(store, project)


def test_times_in_whole_seconds_are_doubted_longer() -> None:
    now = 10_000_000_000_000
    assert is_settled((1, 1, 1, now - 100_000_001, now - 100_000_001), now)
    assert not is_settled((1, 1, 1, now - 1_000_000_000, now - 1_000_000_000), now)
    assert not is_settled((1, 1, 1, 5, now - 1_000), now)
    assert is_settled((1, 1, 1, now - 3_000_000_000, now - 3_000_000_000), now)


# Capabilities and binaries


@needs("setcap", "getcap")
@pytest.mark.parametrize(
    "text",
    ["cap_net_bind_service=ep", "cap_net_raw,cap_net_admin+eip", "cap_chown=p cap_bpf=i"],
)
def test_setcap_writes_the_same(text: str, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    done = subprocess.run(["setcap", text, place], capture_output=True)
    if done.returncode:
        pytest.skip(f"setcap: {done.stderr.decode()}")
    assert os.getxattr(place, "security.capability") == parse_capabilities(text)


def test_capabilities_are_attributes_of_the_layer(store: Store, project: Path) -> None:
    import gzip
    import io
    import tarfile

    rule = FileRule(str(project / "app" / "run.sh"), "/bin/", capabilities="net_bind_service")
    with write(store, rule).compressed() as stream:
        data = io.BytesIO(gzip.decompress(stream.read()))
    with tarfile.open(fileobj=data) as tar:
        record = tar.getmember("bin/run.sh").pax_headers["SCHILY.xattr.security.capability"]
    value = record.encode("utf-8", "surrogateescape")
    assert struct.unpack("<IIIII", value) == (0x02000000, 1 << 10, 0, 0, 0)


@pytest.mark.parametrize("text", ["cap_nothing=ep", "=", "cap_chown=x", "cap_chown=ep cap_kill=p"])
def test_capabilities_that_are_none(text: str) -> None:
    with pytest.raises(RequestError):
        parse_capabilities(text)


def test_binaries_are_for_their_platform(tmp_path: Path) -> None:
    place = tmp_path / "tool"
    place.write_bytes(build_program("aarch64", "hi"))
    binaries = {"linux/arm64": str(place), "linux/amd64": str(place)}
    assert choose_binary(binaries, parse_platform("arm64")) == "linux/arm64"
    assert choose_binary({"arm64": str(place)}, parse_platform("arm64")) == "arm64"
    assert check_binary(str(place), Platform("arm64")).interpreter == ""
    with pytest.raises(InputError, match="not for linux/amd64: it is for arm64"):
        check_binary(str(place), Platform("amd64"))
    with pytest.raises(RequestError, match="no binary for linux/s390x"):
        choose_binary(binaries, Platform("s390x"))
    place.write_text("#!/bin/sh\n")
    with pytest.raises(InputError, match="a script"):
        check_binary(str(place), Platform("arm64"))
    with pytest.raises(NotFound):
        check_binary(str(tmp_path / "absent"), Platform("arm64"))
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="neither a file, a folder nor a symlink"):
            check_binary(str(place), Platform("arm64"))
    with pytest.raises(InputError, match="is a folder"):
        check_binary(str(tmp_path), Platform("arm64"))


def test_a_dynamic_binary_needs_its_loader() -> None:
    linkage = Linkage(62, 64, True, interpreter="/lib64/ld-linux-x86-64.so.2")
    check_loader("tool", linkage, {"lib64/ld-linux-x86-64.so.2"}.__contains__)
    check_loader("tool", Linkage(62, 64, True), set().__contains__)
    with pytest.raises(InputError, match=r"needs /lib64/ld-linux-x86-64\.so\.2") as caught:
        check_loader("tool", linkage, set().__contains__)
    assert str(caught.value.problems[0].help).endswith("or take a base with that libc")
    with pytest.raises(InputError) as caught:
        check_loader("tool", linkage, set().__contains__, "packages: {}".format)
    assert str(caught.value.problems[0].help).endswith("(Debian: libc6): packages: libc6")


def test_a_library_is_checked_too(tmp_path: Path) -> None:
    place = tmp_path / "lib.so"
    place.write_bytes(build_library("s390x", "lib.so"))
    assert check_binary(str(place), Platform("s390x")).soname == "lib.so"


def test_a_digest_of_bytes_is_one_that_texts_may_be() -> None:
    made = Digest.of_sha256(hashlib.sha256(b"x").digest())
    assert made == Digest(f"sha256:{hashlib.sha256(b'x').hexdigest()}")
    assert type(made) is Digest
    with pytest.raises(RequestError, match="is not a digest"):
        Digest.of_sha256(b"short")
