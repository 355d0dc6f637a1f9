"""Layouts that somebody else has prepared: nothing of his is removed, and nothing waits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagist.errors import InputError, RequestError
from imagist.oci.random import random_image
from imagist.store.layout import LayoutSource, write_layout


@pytest.mark.parametrize("link", ["blobs", "blobs/sha256"])
def test_nothing_is_written_or_removed_through_a_link(tmp_path: Path, link: str) -> None:
    home, folder = tmp_path / "home", tmp_path / "layout"
    home.mkdir()
    (home / ".bashrc").write_text("mine\n")
    write_layout(random_image(1), folder)
    (folder / link).rename(tmp_path / "moved")
    (folder / link).symlink_to(home)
    with pytest.raises(RequestError, match="is a symlink"):
        write_layout(random_image(2), folder)
    assert [path.name for path in home.iterdir()] == [".bashrc"]


def test_only_what_imagist_left_is_removed(tmp_path: Path) -> None:
    write_layout(random_image(1), tmp_path / "layout")
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    (blobs / ".note").write_text("mine\n")
    rest = blobs / f".{'0' * 64}-{'1' * 12}"
    rest.write_text("half")
    write_layout(random_image(2), tmp_path / "layout")
    assert (blobs / ".note").exists()
    assert not rest.exists()


def test_a_pipe_is_no_blob(tmp_path: Path) -> None:
    place = tmp_path / "blobs" / "sha256" / ("0" * 64)
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    with pytest.raises(InputError, match="is no file"):
        LayoutSource(tmp_path).open_blob(f"sha256:{'0' * 64}")
