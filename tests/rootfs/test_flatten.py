"""Layers applied in order: what comes out is what an unpacked image holds."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.oci import mediatype
from imagist.rootfs.entry import Entry
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tarwrite import write_tar
from imagist.rootfs.tree import Node, Tree
from support import needs

Layer = list[Entry]


def file(path: str, text: str = "", mode: int = 0o644) -> Entry:
    data = text.encode()
    return Entry(path, mode=mode, size=len(data), data=data, sha1=hashlib.sha1(data).digest())


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, "directory", mode)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, "symlink", 0o777, link=target)


def hardlink(path: str, target: str) -> Entry:
    return Entry(path, "hardlink", link=target)


def run(*layers: Layer) -> Tree:
    return flatten(
        [Node(entry, blob=f"layer{n}") for entry in layer] for n, layer in enumerate(layers)
    )


def show(*layers: Layer) -> dict[str, str]:
    """Paths, and for each its content, target, or `/` for folders."""
    shown = {}
    for node in run(*layers):
        entry = node.entry
        shown[entry.path] = {
            "directory": "/",
            "symlink": f"-> {entry.link}",
            "hardlink": f"= {entry.link}",
        }.get(entry.kind, entry.data.decode())
    return shown


def test_upper_files_win_and_lower_ones_stay() -> None:
    assert show([folder("a"), file("a/x", "1"), file("a/y", "1")], [file("a/x", "2")]) == {
        "a": "/",
        "a/x": "2",
        "a/y": "1",
    }


def test_a_node_keeps_the_layer_its_bytes_are_in() -> None:
    tree = run([file("x", "1"), file("y", "1")], [file("x", "2")])
    assert [node.blob for node in tree] == ["layer1", "layer0"]


def test_whiteouts_hide_lower_paths_with_all_below() -> None:
    lower = [folder("a"), file("a/x"), folder("a/b"), file("a/b/c"), file("ab")]
    assert show(lower, [file(".wh.a")]) == {"ab": ""}
    assert show(lower, [file("a/.wh.x")]) == {"a": "/", "a/b": "/", "a/b/c": "", "ab": ""}


def test_whiteouts_never_hide_what_their_own_layer_has() -> None:
    lower = [folder("a"), file("a/x", "1"), file("a/y", "1")]
    for upper in ([file("a/x", "2"), file("a/.wh.x")], [file("a/.wh.x"), file("a/x", "2")]):
        assert show(lower, upper) == {"a": "/", "a/x": "2", "a/y": "1"}


def test_an_opaque_folder_hides_its_lower_content_wherever_the_marker_stands() -> None:
    lower = [folder("a", 0o700), folder("a/b"), file("a/b/c"), file("z")]
    for upper in ([file("a/n"), file("a/.wh..wh..opq")], [file("a/.wh..wh..opq"), file("a/n")]):
        assert show(lower, upper) == {"a": "/", "a/n": "", "z": ""}
        node = run(lower, upper).get("a")
        assert node is not None
        assert node.entry.mode == 0o700


def test_an_opaque_root_hides_everything() -> None:
    assert show([folder("a"), file("a/b"), file("c")], [file("d"), file(".wh..wh..opq")]) == {
        "d": ""
    }


def test_book_keeping_of_aufs_is_no_file() -> None:
    assert show([file(".wh..wh.aufs"), file("a")]) == {"a": ""}


def test_a_folder_over_a_folder_changes_attributes_only() -> None:
    tree = run([folder("a", 0o755), file("a/x")], [folder("a", 0o1777)])
    assert [(n.entry.path, n.entry.mode) for n in tree] == [("a", 0o1777), ("a/x", 0o644)]


@pytest.mark.parametrize("upper", [file("a", "f"), symlink("a", "b")])
def test_a_folder_is_replaced_with_all_below_it(upper: Entry) -> None:
    assert list(show([folder("a"), file("a/x")], [upper])) == ["a"]


@pytest.mark.parametrize("lower", [file("a", "f"), symlink("a", "b")])
def test_a_folder_replaces_a_file_or_a_symlink(lower: Entry) -> None:
    assert show([lower], [folder("a"), file("a/x")]) == {"a": "/", "a/x": ""}


def test_paths_through_symlinked_folders_land_where_they_lead() -> None:
    lower = [folder("usr"), folder("usr/lib"), symlink("lib", "usr/lib"), file("usr/lib/old")]
    assert show(lower, [file("lib/new"), file("lib/.wh.old")]) == {
        "lib": "-> usr/lib",
        "usr": "/",
        "usr/lib": "/",
        "usr/lib/new": "",
    }


def test_a_symlink_never_leads_out_of_the_root() -> None:
    assert "out/x" in show([symlink("a", "../../out"), file("a/x")])


def test_missing_folders_are_made() -> None:
    assert show([file("a/b/c")]) == {"a": "/", "a/b": "/", "a/b/c": ""}


def test_a_file_in_a_file_is_refused() -> None:
    with pytest.raises(InputError, match="/a/b lies in /a, which is a file"):
        run([file("a")], [file("a/b")])


def test_hardlinks_share_one_content() -> None:
    assert show([file("b", "text"), hardlink("c", "b"), hardlink("d", "c")]) == {
        "b": "text",
        "c": "= b",
        "d": "= b",
    }


def test_the_first_name_is_the_file_even_if_a_link_sorts_before() -> None:
    assert show([file("b", "text"), hardlink("a", "b")]) == {"a": "text", "b": "= a"}


def test_a_hardlink_keeps_the_content_when_its_other_name_is_replaced_or_hidden() -> None:
    lower = [file("a", "old"), hardlink("b", "a"), hardlink("c", "a")]
    assert show(lower, [file("a", "new")]) == {"a": "new", "b": "old", "c": "= b"}
    assert show(lower, [file(".wh.a")]) == {"b": "old", "c": "= b"}
    assert show(lower, [file(".wh.a"), file(".wh.b")]) == {"c": "old"}


def test_a_hardlink_may_name_a_file_of_a_lower_layer() -> None:
    assert show([file("a", "1")], [hardlink("b", "a")]) == {"a": "1", "b": "= a"}


def test_a_hardlink_to_itself_changes_nothing() -> None:
    assert show([file("a", "1")], [hardlink("a", "a")]) == {"a": "1"}


@pytest.mark.parametrize("target", ["absent", "dir"])
def test_a_hardlink_that_leads_to_no_file_is_refused(target: str) -> None:
    with pytest.raises(InputError, match="/x is a hardlink to"):
        run([folder("dir"), hardlink("x", target)])


def test_ten_thousand_whiteouts_of_files_are_quick() -> None:
    names = [f"d{n % 100}/f{n}" for n in range(10_000)]
    start = time.process_time()
    tree = run([file(name) for name in names], [file(n.replace("/", "/.wh.")) for n in names])
    assert len(tree) == 100
    assert time.process_time() - start < 2


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/b/a"])


@st.composite
def layer_strategy(draw: st.DrawFn) -> Layer:
    """One layer that tar itself could have unpacked in this order: parents are folders."""
    found: dict[str, Entry] = {}
    for path in sorted(draw(st.sets(NAMES, max_size=5))):
        if any(found[p].kind != "directory" for p in found if path.startswith(p + "/")):
            continue
        above = path.rpartition("/")[0]
        while above and above not in found:
            found[above] = folder(above, 0o711)
            above = above.rpartition("/")[0]
        kind = draw(
            st.sampled_from(["file", "folder", "symlink", "hardlink", "whiteout", "opaque"])
        )
        files = [p for p, e in found.items() if e.kind == "file" and ".wh." not in p]
        if kind == "file":
            found[path] = file(path, draw(st.sampled_from("xyz")))
        elif kind == "symlink":
            found[path] = symlink(path, "nowhere")
        elif kind == "hardlink" and files:
            found[path] = hardlink(path, draw(st.sampled_from(files)))
        elif kind == "whiteout":
            mark = "/".join([*path.split("/")[:-1], ".wh." + path.rpartition("/")[2]])
            found[mark] = file(mark)
        else:
            found[path] = folder(path, draw(st.sampled_from([0o755, 0o700])))
            if kind == "opaque":
                found[path + "/.wh..wh..opq"] = file(path + "/.wh..wh..opq")
    parents_first = [entry for entry in found.values() if entry.kind == "directory"]
    parents_first.sort(key=lambda entry: entry.path)
    return parents_first + [entry for entry in found.values() if entry.kind != "directory"]


def on_disk(root: Path) -> dict[str, tuple[object, ...]]:
    seen: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        mode = stat.S_IMODE(info.st_mode)
        name = str(path.relative_to(root))
        if path.is_symlink():
            seen[name] = ("symlink", os.readlink(path))
        elif path.is_dir():
            seen[name] = ("directory", mode)
        else:
            seen[name] = ("file", mode, path.read_text(), info.st_nlink)
    return seen


def in_tree(tree: Tree) -> dict[str, tuple[object, ...]]:
    nodes = list(tree)
    links: dict[str, int] = {}
    for node in nodes:
        first = node.entry.link if node.entry.kind == "hardlink" else node.entry.path
        links[first] = links.get(first, 0) + 1
    seen: dict[str, tuple[object, ...]] = {}
    for node in nodes:
        entry = node.entry
        if entry.kind == "symlink":
            seen[entry.path] = ("symlink", entry.link)
        elif entry.is_directory:
            seen[entry.path] = ("directory", entry.mode)
        else:
            first = entry.link if entry.kind == "hardlink" else entry.path
            source = tree.get(first)
            assert source is not None
            content = source.entry.data.decode()
            seen[entry.path] = ("file", source.entry.mode, content, links[first])
    return seen


def unpack(layers: list[Layer], folder_: Path) -> Path:
    """Have umoci unpack an image of these layers; returns the root."""
    blobs = folder_ / "image" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    archives = []
    for layer in layers:
        archive = bytearray()
        write_tar(((entry, entry.data) for entry in layer), archive.extend)
        archives.append(put(bytes(archive), mediatype.LAYER_TAR))
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in archives]}
    config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs}
    described = put(json.dumps(config).encode(), mediatype.CONFIG)
    manifest = {"schemaVersion": 2, "config": described, "layers": archives}
    top = put(json.dumps(manifest).encode(), mediatype.MANIFEST)
    top["annotations"] = {"org.opencontainers.image.ref.name": "t"}
    index = {"schemaVersion": 2, "manifests": [top]}
    (folder_ / "image" / "index.json").write_text(json.dumps(index))
    (folder_ / "image" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    rootless = ["--rootless"] if os.geteuid() else []
    args = ["umoci", "unpack", *rootless, "--image", str(folder_ / "image") + ":t"]
    done = subprocess.run([*args, str(folder_ / "bundle")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder_ / "bundle" / "rootfs"


@needs("umoci")
@settings(max_examples=30, deadline=None)
@given(layers=st.lists(layer_strategy(), min_size=1, max_size=3))
def test_the_tree_is_what_umoci_unpacks(
    layers: list[Layer], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = unpack(layers, tmp_path_factory.mktemp("flatten"))
    assert in_tree(run(*layers)) == on_disk(root)
