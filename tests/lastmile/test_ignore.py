"""Ignore files: read as Docker reads them, and the usual things left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagist.errors import InputError
from imagist.lastmile.files import FileRule, find_wanted
from imagist.lastmile.ignore import Ignore, parse_patterns, read_ignore

# Pattern lines, a path, and whether it is kept: as moby's patternmatcher has it in its tests.
CASES = [
    (["**"], "file", False),
    (["**/"], "file", False),
    (["dir/**"], "dir/file", False),
    (["dir/**"], "dir/dir2/file", False),
    (["dir/**"], "dir", True),
    (["**/dir"], "a/b/dir/file", False),
    (["**/dir2/*"], "dir/dir2/file", False),
    (["**/dir2/**"], "dir/dir2/dir2/file", False),
    (["**file"], "dir/file", False),
    (["**/file"], "file", False),
    (["**file"], "dir/file.txt", True),
    (["**/file*txt"], "dir/dir/file.txt", False),
    (["a**/*.txt"], "abc/x/y.txt", False),
    (["*.py"], "a.py", False),
    (["*.py"], "d/a.py", True),
    (["/a.py"], "a.py", False),
    (["./a"], "a/b/c", False),
    (["a/"], "a/b", False),
    (["a/../b"], "b", False),
    (["a?b"], "a/b", True),
    (["a?b"], "axb", False),
    (["a[b-d]e"], "ace", False),
    (["a[b-d]e"], "aze", True),
    (["a[^b-d]e"], "aze", False),
    (["a[^b-d]e"], "ace", True),
    ([r"a\*"], "a*", False),
    ([r"a\*"], "ab", True),
    (["abc.def"], "abcZdef", True),
    (["a(b)"], "a(b)", False),
    (["a[^-b]c"], "axc", False),
    (["a[^-b]c"], "a/c", True),
    (["a[[&|]c"], "a&c", False),
    (["*a*b*c"], "xaybzbc", False),
    (["*a*b*c"], "xaybzcb", True),
    (["*a*/b"], "aa/b", False),
    (["*a*/b"], "a/a/b", True),
    (["**/**/a"], "x/y/a", False),
    (["*.md", "!README.md"], "README.md", True),
    (["*.md", "!README.md"], "other.md", False),
    (["docs", "!docs/keep"], "docs/keep/x", True),
    (["docs", "!docs/keep"], "docs/other", False),
    (["!docs", "docs"], "docs/x", False),
    (["# docs", "", "  "], "docs", True),
    ([" docs "], "docs", False),
    (["."], "a", True),
]


@pytest.mark.parametrize(("lines", "path", "is_kept"), CASES)
def test_patterns(lines: list[str], path: str, is_kept: bool) -> None:
    assert Ignore(parse_patterns(lines)).keeps(path) is is_kept


def test_folders_are_entered_only_for_what_may_be_taken_back() -> None:
    ignore = Ignore(parse_patterns(["docs", "other", ".git", "!docs/keep", "!*.md"]))
    assert ignore.keeps("docs", is_folder=True)
    assert not ignore.keeps("other", is_folder=True)
    assert not ignore.keeps(".git", is_folder=True)
    assert Ignore(parse_patterns(["x", "!**/a"])).keeps("x", is_folder=True)


@pytest.mark.parametrize(
    "path",
    [
        *(".git", "sub/.git/HEAD", "pkg/__pycache__/a.pyc", "a.pyc", ".venv/bin/python", ".env"),
        *("x.egg-info/PKG-INFO", ".imagistignore"),
        *(".netrc", "conf/pip.conf", "home/.ssh/config", "id_rsa", ".aws/credentials"),
        *(".docker/config.json", "home/.docker/config.json"),
    ],
)
def test_what_no_image_is_meant_to_have(path: str, tmp_path: Path) -> None:
    assert not read_ignore(tmp_path).keeps(path)
    (tmp_path / ".dockerignore").write_text(f"!{path}\n")
    assert read_ignore(tmp_path).keeps(path)
    assert Ignore(()).keeps(path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "web/node_modules/x.js",
            "certs/ca.pem",
            "a.pyc.txt",
            "git",
            ".github/x",
            ".docker/nginx.conf",
            "config.json",
        ),
        *("app/aws/x.py", "pip/conf", "environment", "id_rsa.pub", "sub/.dockerignore"),
    ],
)
def test_what_an_application_may_need_stays(path: str, tmp_path: Path) -> None:
    assert read_ignore(tmp_path).keeps(path)


def test_folders_that_are_no_part_of_a_project_are_known_by_a_file_in_them(
    tmp_path: Path,
) -> None:
    """Virtual environments of whatever name, and the layouts that imagist writes."""
    for name in ("src/env/pyvenv.cfg", "src/env/bin/x", "src/out/oci-layout", "src/out/blobs/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "src/app.py").touch()

    def wanted(folder: Path, *patterns: str) -> list[str]:
        items = find_wanted(FileRule(str(folder), "/", patterns=patterns))
        return [item.path for item in items]

    assert wanted(tmp_path) == ["src", "src/app.py"]
    kept = ["src", "src/app.py", "src/out", "src/out/blobs", "src/out/blobs/x"]
    assert wanted(tmp_path, "!**/blobs") == kept
    assert wanted(tmp_path, "!src/out") == [*kept, "src/out/oci-layout"]
    # What is named itself is meant.
    assert wanted(tmp_path / "src/env") == ["bin", "bin/x", "pyvenv.cfg"]


def test_the_first_ignore_file_holds_alone(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("one\n")
    assert not read_ignore(tmp_path).keeps("one")
    (tmp_path / ".imagistignore").write_text("two\n")
    ignore = read_ignore(tmp_path)
    assert ignore.keeps("one")
    assert not ignore.keeps("two")


def test_lines_that_mean_nothing_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("ok\n[a\n!\nx\\\n")
    with pytest.raises(InputError) as caught:
        read_ignore(tmp_path)
    assert [getattr(p.where, "line", 0) for p in caught.value.problems] == [2, 3, 4]


@pytest.mark.parametrize(
    ("pattern", "path"), [("a*" * 20 + "b", "a" * 200), ("**/" * 20 + "z", "a/" * 100 + "a")]
)
def test_no_pattern_takes_forever(pattern: str, path: str) -> None:
    assert not Ignore(parse_patterns([pattern])).ignores(path)


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_of_sets_that_mean_more_elsewhere() -> None:
    assert Ignore(parse_patterns(["[[a]&&[~~]"])).ignores("[&&~")


def test_what_would_never_end_is_no_ignore_file(tmp_path: Path) -> None:
    place = tmp_path / ".dockerignore"
    os.mkfifo(place)
    with pytest.raises(InputError, match="is no file"):
        read_ignore(tmp_path)
    place.unlink()
    place.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is no file"):
        read_ignore(tmp_path)
