"""Slices: files of definitions, what they need, what is left of a package, and their scripts."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fixtures.debfile import Deb, verify_made
from fixtures.maker import file, folder, hardlink, symlink
from fixtures.memory import Memory
from imagist.build.derived.mutations import mutate_slices
from imagist.build.merge import merge_packages
from imagist.errors import InputError, RequestError
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.mutation import run_mutation
from imagist.packages.deb.slices import (
    Content,
    Slice,
    choose_slices,
    cut_to_slices,
    parse_slices,
)
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

DEFINITIONS = """
package: certs
essential:
  - certs_copyright
  - base_config
slices:
  data:
    hint: all of them
    contents:
      /etc/bundle.crt: {text: FIXME, mutable: true}
      /usr/share/certs/: {until: mutate}
      /usr/share/certs/**: {until: mutate}
    mutate: |
      folder = "/usr/share/certs/"
      parts = [content.read(folder + path) for path in content.list(folder)]
      content.write("/etc/bundle.crt", "".join(parts))
  bins:
    essential: {certs_data: {}, other_arm: {arch: [arm64]}}
    contents:
      /usr/bin/tool:
      /usr/bin/alias: {symlink: tool}
      /usr/bin/again: {copy: /usr/bin/tool}
      /var/made/: {make: true, mode: 01777}
      /usr/lib/*/lib?.so*:
      /usr/lib/arm.so: {arch: arm64}
  copyright:
    contents:
      /usr/share/doc/certs/copyright:
"""
PACKAGE = Deb(
    "certs",
    items=[
        file("usr/bin/tool", "tool", 0o755),
        hardlink("usr/bin/hard", "usr/bin/tool", mode=0o755),
        file("usr/lib/x86_64-linux-gnu/liba.so.1", "a"),
        symlink("usr/lib/x86_64-linux-gnu/liba.so", "liba.so.1"),
        file("usr/lib/x86_64-linux-gnu/libother.so", "o"),
        file("usr/share/certs/one.crt", "1\n"),
        file("usr/share/certs/two.crt", "2\n"),
        folder("usr/share/certs", 0o750),
        file("usr/share/doc/certs/copyright", "c"),
        file("usr/share/doc/certs/changelog", "l"),
    ],
)


def known() -> dict[str, Slice]:
    found = parse_slices(DEFINITIONS.encode(), "certs.yaml", "amd64")
    found += parse_slices(b"package: base\nslices: {config: {}}\n", "base.yaml", "amd64")
    return {str(each): each for each in found}


class Contents:
    """Reads what a layer in memory has."""

    def __init__(self, memory: Memory) -> None:
        import gzip

        self._tars = {digest: gzip.decompress(blob) for digest, blob in memory.blobs.items()}

    def read(self, nodes: Iterable[Node]) -> dict[str, bytes]:
        return {
            node.entry.path: self._tars[node.blob][node.entry.offset :][: node.entry.size]
            if node.blob
            else node.entry.data
            for node in nodes
        }


def cut(*names: str) -> tuple[DebFiles, list[Slice], Memory]:
    memory = Memory()
    chosen = choose_slices(known(), names)
    own = [each for each in chosen if each.package == "certs"]
    return cut_to_slices(verify_made(PACKAGE, memory=memory), own), chosen, memory


def test_what_slices_need_comes_before_them() -> None:
    assert [str(each) for each in choose_slices(known(), ["certs_bins"])] == [
        "base_config", "certs_copyright", "certs_data", "certs_bins",
    ]  # fmt: skip


def test_a_package_is_cut_to_what_its_slices_say() -> None:
    files, _, _ = cut("certs_bins")
    there = {entry.path: entry for entry in files.entries if not entry.is_directory}
    assert set(there) == {
        "etc/bundle.crt", "usr/bin/again", "usr/bin/alias", "usr/bin/tool",
        "usr/lib/x86_64-linux-gnu/liba.so", "usr/lib/x86_64-linux-gnu/liba.so.1",
        "usr/share/certs/one.crt", "usr/share/certs/two.crt", "usr/share/doc/certs/copyright",
    }  # fmt: skip
    assert there["usr/bin/again"].offset == there["usr/bin/tool"].offset
    assert there["usr/bin/alias"].link == "tool"
    folders = {entry.path: entry.mode for entry in files.entries if entry.is_directory}
    assert folders["var/made"] == 0o1777
    assert folders["usr/share/certs"] == 0o750
    assert files.verbatim


def test_scripts_write_and_what_was_there_for_them_goes() -> None:
    files, chosen, memory = cut("certs_data")
    tree = Tree()
    merge_packages(tree, [files])
    mutate_slices(tree, Contents(memory), chosen, epoch=7)
    bundle = tree.get("etc/bundle.crt")
    assert bundle is not None
    assert bundle.entry.data == b"1\n2\n"
    assert "usr/share/certs" not in tree
    assert "usr/share/doc/certs/copyright" in tree


def test_a_hardlink_without_its_file_is_the_file() -> None:
    slices = parse_slices(
        b"package: certs\nslices: {x: {contents: {/usr/bin/hard: }}}", "x", "amd64"
    )
    files = cut_to_slices(verify_made(PACKAGE), slices)
    assert [(e.path, e.kind) for e in files.entries if not e.is_directory] == [
        ("usr/bin/hard", "file")
    ]


def test_names_that_are_none_and_circles_are_told() -> None:
    circle = {
        "a_x": Slice("a", "x", ("b_x",)), "b_x": Slice("b", "x", ("a_x",)),
    }  # fmt: skip
    with pytest.raises(RequestError, match="a_x -> b_x -> a_x"):
        choose_slices(circle, ["a_x"])
    with pytest.raises(RequestError, match="no slice certs_bin") as caught:
        choose_slices(known(), ["certs_bin"])
    assert "certs_bins" in str(caught.value.problems[0].help)


def test_a_path_that_the_package_has_not_is_told_a_pattern_is_not() -> None:
    text = b"package: certs\nslices: {x: {contents: {/usr/bin/gone: , '/opt/**': }}}"
    with pytest.raises(InputError, match="has no /usr/bin/gone"):
        cut_to_slices(verify_made(PACKAGE), parse_slices(text, "x.yaml", "amd64"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("slices: {a: {}}", "no `package`"),
        ("package: a\nslices: {a: {content: {}}}", "no `content`"),
        ("package: a\nslices: {a: {contents: {usr/bin: }}}", "slash"),
        ("package: a\nslices: {a: {contents: {/a: {mod: 1}}}}", "no option `mod`"),
        ("package: a\nslices: {a: {contents: {/a/: {make: true, mode: 77777}}}}", "no mode"),
        ("package: a\nslices: {a: {contents: {/a: {prefer: b}}}}", "`prefer`"),
        ("package: a\nslices: [a]", "should be a mapping"),
        ("package: a\nslices: {a: {contents: {/../../x: {text: b}}}}", r"`/\.\./\.\./x` has"),
        ("package: a\nslices: {a: {contents: {/usr/./x: {symlink: b}}}}", r"`\.` or"),
        ("package: a\nslices: {a: {contents: {/usr//x: {make: true}}}}", "empty parts"),
        ("package: a\nslices: {a: {contents: {/: {text: b}}}}", "`/` has empty parts"),
        ("package: a\nslices: {a: {contents: {/x: {copy: /../y}}}}", r"`/\.\./y` has"),
    ],
)
def test_definitions_that_are_not_understood_are_refused(text: str, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        parse_slices(text.encode(), "a.yaml", "amd64")


class Files(dict[str, str]):
    """What a script may touch."""

    def read(self, path: str) -> str:
        return self[path]

    def write(self, path: str, text: str) -> None:
        self[path] = text

    def list(self, path: str) -> list[str]:
        return [name.removeprefix(path) for name in self if name.startswith(path)]


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ('content.write("/out", content.read("/a/1"))', "one\n"),
        ('content.write("/out", "".join([content.read("/a/" + p) for p in content.list("/a/")]))', "one\ntwo\n"),
        ('x = "2"\nif x in content.list("/a/"):\n    content.write("/out", content.read("/a/" + x))\nelse:\n    content.write("/out", "")', "two\n"),
        ('for p in content.list("/a/"):\n    content.write("/out", content.read("/a/" + p).rstrip())', "two"),
    ],
)  # fmt: skip
def test_putting_together_copying_and_choosing(script: str, result: str) -> None:
    files = Files({"/a/1": "one\n", "/a/2": "two\n"})
    run_mutation(script, files, "a_b")
    assert files["/out"] == result


@pytest.mark.parametrize(
    "script",
    [
        "import os", "open('/etc/passwd')", "content.remove('/a')", "x = y", "while True: pass",
        "content.__class__", "content.read.__globals__", "x = 'a'.format('b')", "x = 1 + 1",
        "content.read('/a/1', '/a/2')", "def f(): pass", "x = [a for a in 'abc' if a]", "lambda: 1",
        "x = " + "(" * 300 + ")" * 300, "x = " + "not " * 2500 + "'a'",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(script: str) -> None:
    with pytest.raises(InputError, match="a_b"):
        run_mutation(script, Files({"/a/1": "one"}), "a_b")


@pytest.mark.parametrize(
    ("begin", "step"),
    [
        ("x = 'aaaaaaaaaaaaaaaa'", "x = x + x"),
        ("x = ['aaaa']", "x = x + x"),
        ("x = 'aaaaaaaaaaaaaaaa'", "x = x.replace('a', x)"),
        ("x = ['a', 'a']", "x = ['aaaaaaaa'.join(x), 'aaaaaaaa'.join(x)]"),
        ("x = 'a'", "x = x + content.read('/a')"),
    ],
)
def test_text_does_not_grow_without_bound(begin: str, step: str) -> None:
    with pytest.raises(InputError, match="too much text"):
        run_mutation(f"{begin}\n" + f"{step}\n" * 40, Files({"/a": "a" * 999_999}), "a_b")


def test_slices_that_need_each_other_too_deeply_are_told() -> None:
    chain = {f"a_{n}": Slice("a", str(n), (f"a_{n + 1}",)) for n in range(3000)}
    with pytest.raises(RequestError, match="too deeply, as far as a_100"):
        choose_slices(chain, ["a_0"])


def test_text_that_is_no_utf8_is_not_written() -> None:
    content = Content("/x", text="", mutable=True)
    each = Slice("a", "b", contents=(content,), mutate=r"content.write('/x', '\ud800')")
    with pytest.raises(InputError, match="no UTF-8"):
        mutate_slices(Tree(), Contents(Memory()), [each], epoch=0)


def test_only_what_is_mutable_may_be_written() -> None:
    each = Slice("a", "b", mutate="content.write('/etc/passwd', '')")
    tree = Tree()
    tree.put(Node(Entry("etc", "directory", 0o755)))
    with pytest.raises(InputError, match="not mutable"):
        mutate_slices(tree, Contents(Memory()), [each], epoch=0)
