"""Reading files out of packages: bounded, and suspicious of a store that lost something."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagist.build.contents import MAX_READ, StoreContents
from imagist.build.merge import refuse_markers
from imagist.errors import InputError, Untrusted
from imagist.oci.random import random_image
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from imagist.store.layout import write_layout
from imagist.store.store import Store


def test_a_file_that_is_far_too_large_is_not_read_whole(tmp_path: Path) -> None:
    node = Node(Entry("etc/passwd", size=MAX_READ + 1, offset=512), "evil", "sha256:" + "0" * 64)
    with pytest.raises(InputError, match="/etc/passwd of evil"):
        StoreContents(Store.open(tmp_path)).read([node])


def test_content_of_the_image_itself_needs_no_blob(tmp_path: Path) -> None:
    node = Node(Entry("etc/motd", size=2, data=b"hi"))
    assert StoreContents(Store.open(tmp_path)).read([node]) == {"etc/motd": b"hi"}


def test_names_that_delete_files_are_refused_whoever_put_them_there() -> None:
    tree = Tree()
    tree.put(Node(Entry("etc", "directory")))
    tree.put(Node(Entry("etc/.wh.shadow", "symlink", link="x"), "evil"))
    with pytest.raises(InputError, match=r"/etc/\.wh\.shadow of evil"):
        refuse_markers(tree)


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        (Entry("../x"), r"/\.\./x of evil is a name that leads out"),
        (Entry("usr/./x"), r"/usr/\./x of evil is a name that leads out"),
        (Entry("", "symlink", link="/x"), "/ of evil is a symlink, and no folder"),
    ],
)
def test_names_that_lead_out_are_refused_whoever_put_them_there(entry: Entry, wrong: str) -> None:
    tree = Tree()
    tree.put(Node(Entry("", "directory")))
    tree.put(Node(Entry("etc/.hidden")))
    refuse_markers(tree)
    tree.put(Node(entry, "evil"))
    with pytest.raises(InputError, match=wrong):
        refuse_markers(tree)


@pytest.mark.parametrize("link", [True, False])
def test_a_blob_that_lost_its_end_does_not_leave_the_store(tmp_path: Path, link: bool) -> None:
    store = Store.open(tmp_path / "store")
    digest = store.add_image(random_image(1))
    image = store.image(digest)
    blob = store.path(image.layers[0].digest)  # type: ignore[union-attr]
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.truncate(blob.stat().st_size - 1)
    with pytest.raises(Untrusted, match="damaged"):
        write_layout(image, tmp_path / "layout", link=link)
    assert not (tmp_path / "layout").exists()
