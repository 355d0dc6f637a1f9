"""Leaving files out: presets, patterns, and what follows for folders, links and databases."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.debfile import Deb, verify_made
from fixtures.maker import Apk, Item, build_apk, file, folder, hardlink, symlink
from fixtures.memory import verify
from imagist.errors import InputError, RequestError
from imagist.packages.apk.database import describe_installed, format_installed, with_record
from imagist.packages.globs import Glob
from imagist.packages.selection import PRESETS, Rule, Selection, cut_package, select_entries
from imagist.rootfs.entry import Entry, parent

ITEMS: list[Item] = [
    file("usr/bin/tool", "tool", 0o755),
    file("usr/include/tool.h", "h"),
    file("usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", "u"),
    file("usr/lib/x86_64-linux-gnu/gconv/EBCDIC.so", "e"),
    file("usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/x.conf", "g"),
    file("usr/lib/x86_64-linux-gnu/libtool.a", "a"),
    file("usr/share/doc/tool/copyright", "c"),
    file("usr/share/doc/tool/changelog.gz", "l"),
    symlink("usr/share/doc/libtool", "tool"),
    file("usr/share/man/man1/tool.1.gz", "m"),
    file("usr/share/locale/de/LC_MESSAGES/tool.mo", "d"),
]


def paths(entries: tuple[Entry, ...]) -> set[str]:
    return {entry.path for entry in entries if not entry.is_directory}


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        ("/a/b", ["a/b"], ["a/bc", "a", "x/a/b"]),
        ("/a/*", ["a/b", "a/.b"], ["a", "a/b/c"]),
        ("/a/?", ["a/b"], ["a/bc", "a/b/c"]),
        ("/a/**", ["a/b", "a/b/c"], ["ab"]),
        ("/a/**.so", ["a/b.so", "a/b/c.so", "a/.so"], ["a/b.so.1"]),
        ("/a*/b", ["a/b", "axx/b"], ["a/c/b"]),
        ("/a/[b].c+", ["a/[b].c+"], ["a/b.cc"]),
    ],
)
def test_patterns(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    glob = Glob(pattern)
    assert all(glob.matches(Entry(path)) for path in meant)
    assert not any(glob.matches(Entry(path)) for path in not_meant)


_PATTERNS = st.text("aab/.*?", max_size=9).map(lambda text: f"/{text}")
_PATHS = st.text("aab/.", max_size=10)


@given(_PATTERNS, _PATHS)
def test_patterns_mean_what_every_way_of_matching_finds(pattern: str, path: str) -> None:
    meaning = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    plain = "".join(meaning.get(part) or re.escape(part) for part in parts)
    found = re.fullmatch(plain, f"/{path}", re.DOTALL) is not None
    assert Glob(pattern).matches(Entry(path)) == found


@pytest.mark.parametrize("step", ["*a", "**a", "**a*a", "**a?"])
def test_patterns_take_no_time_without_end(step: str) -> None:
    assert not Glob("/" + step * 40 + "b").matches(Entry("a" * 250))
    assert not Glob("/" + step * 40 + "b").matches(Entry(("a" * 200 + "/") * 10))


def test_a_slash_at_the_end_means_a_folder() -> None:
    glob = Glob("/a/b/")
    assert glob.matches(Entry("a/b", "directory"))
    assert not glob.matches(Entry("a/b"))


def test_patterns_begin_at_the_root() -> None:
    with pytest.raises(RequestError, match="slash"):
        Glob("usr/share/doc")


GONE = {
    "docs": {"usr/share/doc/tool/changelog.gz"},
    "man": {"usr/share/man/man1/tool.1.gz"},
    "locale": {"usr/share/locale/de/LC_MESSAGES/tool.mo"},
    "gconv": {"usr/lib/x86_64-linux-gnu/gconv/EBCDIC.so"},
    "static-libs": {"usr/lib/x86_64-linux-gnu/libtool.a"},
    "headers": {"usr/include/tool.h"},
}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset: str) -> None:
    files = verify_made(Deb("tool", items=ITEMS))
    cut = cut_package(files, Selection(slim=(preset,)))
    assert paths(files.entries) - paths(cut.entries) == GONE[preset]
    assert cut.verbatim
    assert cut.data == files.data


def test_licences_stay_whatever_is_said() -> None:
    selection = Selection(slim=tuple(PRESETS), exclude=("/**",))
    cut = cut_package(verify_made(Deb("tool", items=ITEMS)), selection)
    assert [entry.path for entry in cut.entries] == [
        "usr", "usr/share", "usr/share/doc", "usr/share/doc/tool", "usr/share/doc/tool/copyright",
    ]  # fmt: skip


def test_the_later_rule_wins_and_only_comes_first() -> None:
    files = verify_made(Deb("tool", items=ITEMS))
    cut = cut_package(files, Selection(exclude=("/usr/bin/**",), include=("/usr/bin/tool",)))
    assert cut is files
    cut = cut_package(files, Selection(only=("/usr/bin/**",), exclude=("/usr/bin/t*",)))
    assert paths(cut.entries) == {"usr/share/doc/tool/copyright"}


def test_nothing_left_out_is_the_same_package() -> None:
    files = verify_made(Deb("tool", items=[folder("empty"), file("a", "x")]))
    assert cut_package(files, Selection()) is files
    assert cut_package(files, Selection(slim=("docs",))) is files
    assert files.verbatim == ""


def test_what_is_unknown_or_means_nothing_is_told() -> None:
    files = verify_made(Deb("tool", items=ITEMS))
    with pytest.raises(RequestError, match="`dcos`"):
        cut_package(files, Selection(slim=("dcos",)))
    with pytest.raises(InputError, match=r"`/usr/sbin/\*\*`"):
        cut_package(files, Selection(exclude=("/usr/sbin/**",), slim=("gconv",), strict=True))


def test_a_hardlink_whose_file_goes_becomes_the_file() -> None:
    items = [
        file("bin/a", "content", 0o755), hardlink("lib/b", "bin/a"), hardlink("lib/c", "bin/a"),
    ]  # fmt: skip
    files = verify_made(Deb("a", items=items))
    cut = cut_package(files, Selection(exclude=("/bin/**",)))
    first, second = [entry for entry in cut.entries if not entry.is_directory]
    packed = files.entries[1]
    assert (first.path, first.kind, first.offset, first.sha1) == (
        "lib/b", "file", packed.offset, packed.sha1,
    )  # fmt: skip
    assert (second.path, second.kind, second.link) == ("lib/c", "hardlink", "lib/b")


def test_records_of_apks_follow() -> None:
    files = with_record(verify(build_apk(Apk("tool", items=ITEMS), "x86_64")))
    cut = cut_package(files, Selection(slim=("man",)))
    record = format_installed([describe_installed(cut)]).decode()
    assert "R:tool.1.gz" not in record
    assert "F:usr/share/man" not in record
    assert "R:copyright" in record


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(st.sets(names, max_size=8), st.lists(st.tuples(names, st.booleans()), max_size=4))
def test_what_stays_has_its_folders_and_nothing_is_made_up(
    files: set[str], rules: list[tuple[str, bool]]
) -> None:
    plain = {path for path in files if not any(other.startswith(path + "/") for other in files)}
    folders = {path[:end] for path in plain for end in range(len(path)) if path[end] == "/"}
    entries = [Entry(path, "directory") for path in sorted(folders)] + [
        Entry(p) for p in sorted(plain)
    ]
    kept, _ = select_entries(entries, [Rule(f"/{path}/**", keep) for path, keep in rules])
    there = {entry.path for entry in kept}
    assert there <= folders | plain
    assert all(parent(path) in there | {""} for path in there)
    assert all(any(p.startswith(f + "/") for p in there) for f in there & folders)
