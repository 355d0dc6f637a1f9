"""Markers of layers that hide what lies below."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.rootfs.whiteout import Mark, is_reserved, opaque_path, parse_mark, whiteout_path

PATHS = st.lists(st.text("ab.wh", min_size=1, max_size=6), min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("path", "mark"),
    [
        ("etc/.wh.passwd", Mark("whiteout", "etc/passwd")),
        (".wh.etc", Mark("whiteout", "etc")),
        ("etc/.wh..wh..opq", Mark("opaque", "etc")),
        (".wh..wh..opq", Mark("opaque", "")),
        ("a/.wh..hidden", Mark("whiteout", "a/.hidden")),
        (".wh..wh.aufs", Mark("aufs", ".wh..wh.aufs")),
        (".wh..wh.plnk/1.2", None),
        ("a.wh.b", None),
        ("etc/x.wh.", None),
        ("etc/passwd", None),
    ],
)
def test_markers_are_told_from_files(path: str, mark: Mark | None) -> None:
    assert parse_mark(path) == mark


@pytest.mark.parametrize("path", [".wh.", "a/.wh.", "a/.wh..", "a/.wh..."])
def test_a_whiteout_of_nothing_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"whiteout of nothing"):
        parse_mark(path)


@given(PATHS)
def test_what_is_marked_is_what_was_meant(path: str) -> None:
    if not is_reserved(path) and path.rpartition("/")[2] not in {".", ".."}:
        assert parse_mark(whiteout_path(path)) == Mark("whiteout", path)
    assert parse_mark(opaque_path(path)) == Mark("opaque", path)


def test_names_under_a_marker_are_reserved_too() -> None:
    assert is_reserved("a/.wh.b/c")
    assert not is_reserved("a/b.wh.c")
