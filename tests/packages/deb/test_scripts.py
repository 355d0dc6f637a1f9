"""Maintainer scripts: what is followed, what is told, and that a real shell comes to the same."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.derived.conftest import MemoryContents
from imagist.build.derived.alternatives import link_alternatives
from imagist.build.derived.maintainer import TreeSystem
from imagist.errors import InputError
from imagist.packages.deb.scripts.conditions import evaluate_test
from imagist.packages.deb.scripts.debcommands import compare_versions
from imagist.packages.deb.scripts.follow import Followed, follow_script
from imagist.packages.deb.scripts.syntax import parse_script
from imagist.packages.deb.scripts.words import plain_text, split_tokens
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from support import needs


def make_tree(*entries: Entry) -> Tree:
    tree = Tree()
    for folder in ("etc", "usr", "usr/bin", "usr/share", "usr/share/demo", "var", "var/lib"):
        tree.put(Node(Entry(folder, "directory", 0o755), "demo"))
    for entry in entries:
        tree.put(Node(entry, "demo"))
    return tree


def file(path: str, data: bytes = b"", mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, size=len(data), data=data)


def follow(text: str, *entries: Entry, **options: object) -> tuple[Followed, Tree, TreeSystem]:
    tree = make_tree(*entries)
    system = TreeSystem(tree, MemoryContents(), epoch=7, **options)  # type: ignore[arg-type]
    followed = follow_script(
        "#!/bin/sh\nset -e\n" + text,
        system,
        package="demo",
        arguments=("configure", ""),
        arch="amd64",
    )
    return followed, tree, system


def made(text: str, *entries: Entry) -> dict[str, tuple[str, int, str, bytes]]:
    """What there is more, or otherwise, after a script that is followed to its end."""
    followed, tree, _ = follow(text, *entries)
    assert followed.unknown == ()
    before = {node.entry.path: node.entry for node in make_tree(*entries)}
    return {
        node.entry.path: (node.entry.kind, node.entry.mode, node.entry.link, node.entry.data)
        for node in tree
        if before.get(node.entry.path) != node.entry
    }


# -- what is understood ----------------------------------------------------------------------


def test_the_way_of_a_first_installation_is_taken() -> None:
    text = """
case "$1" in
    configure)
        if [ -z "$2" ]; then mkdir -p /var/lib/new; fi
        if dpkg --compare-versions "$2" lt-nl 1.0; then rm -rf /etc; fi
        [ -n "$2" ] && mkdir /var/lib/upgraded
        if [ "$1" = configure ] && [ ! -e /etc/none ]; then touch /etc/none; fi
        ;;
    abort-upgrade|abort-remove) mkdir /var/lib/aborted ;;
    *) echo "called with \\`$1'" >&2; exit 1 ;;
esac
exit 0
mkdir /var/lib/never
"""
    assert made(text) == {
        "var/lib/new": ("directory", 0o755, "", b""),
        "etc/none": ("file", 0o644, "", b""),
    }


def test_functions_loops_and_substitutions() -> None:
    text = """
install_default() {
    local source="$1"
    if [ ! -f "$DPKG_ROOT$2" ]; then cp -p "/usr/share/demo/$source" "$DPKG_ROOT$2"; fi
}
name() { echo "/var/lib/$1"; }
for each in one two; do
    install_default conf /etc/$each
    mkdir "$(name $each)"
    [ "$each" = one ] || break
done
target=$(basename /a/b) || true
ARCH=`dpkg --print-architecture`
ln -s lib-$ARCH /usr/share/${ARCH%64}
"""
    there = file("usr/share/demo/conf", b"x", 0o640)
    assert made(text, there) == {
        "etc/one": ("file", 0o640, "", b"x"),
        "etc/two": ("file", 0o640, "", b"x"),
        "var/lib/one": ("directory", 0o755, "", b""),
        "var/lib/two": ("directory", 0o755, "", b""),
        "usr/share/amd": ("symlink", 0o777, "lib-amd64", b""),
    }


def test_here_documents_and_redirections_write_files() -> None:
    text = """
who=me
cat > /etc/plain <<EOF
hello $who
EOF
cat <<-'EOF' > /etc/quoted
\tkeep $who
\tEOF
: > /etc/empty
echo one line > /etc/line
umask 077
touch /etc/secret
"""
    assert made(text) == {
        "etc/plain": ("file", 0o644, "", b"hello me\n"),
        "etc/quoted": ("file", 0o644, "", b"keep $who\n"),
        "etc/empty": ("file", 0o644, "", b""),
        "etc/line": ("file", 0o644, "", b"one line\n"),
        "etc/secret": ("file", 0o600, "", b""),
    }


def test_links_moves_and_removals() -> None:
    text = """
ln -sf ../mail /var/spool
ln -s /usr/share/demo /etc
ln -sr /usr/share/demo /usr/bin/relative
ln -nsf new /etc/link
mv -f /etc/old.dpkg-new /etc/old
rm -f /etc/absent /etc/gone
rmdir /var/lib
"""
    followed, tree, _ = follow(
        text, Entry("etc/link", "symlink", 0o777, link="before"), file("etc/old.dpkg-new", b"n"),
        file("etc/gone"),
    )  # fmt: skip
    assert followed == Followed(("files",), ())
    links = {n.entry.path: n.entry.link for n in tree.symlinks()}
    assert links == {
        "var/spool": "../mail", "etc/demo": "/usr/share/demo", "etc/link": "new",
        "usr/bin/relative": "../share/demo",
    }  # fmt: skip
    assert {"etc/old", "etc/gone", "etc/old.dpkg-new", "var/lib"} & {
        n.entry.path for n in tree
    } == {"etc/old"}


def test_owners_and_modes() -> None:
    text = """
chown root:adm /etc/a
chmod 0640 /etc/a
chgrp www-data /etc/b
install -d -m 2750 -o proxy -g proxy /var/lib/p
chown -R mail /usr/share/demo
if ! dpkg-statoverride --list /etc/b >/dev/null; then chmod 4711 /etc/b; fi
"""
    passwd = file("etc/passwd", b"root:x:0:0::/:\nmail:x:8:8::/:\nproxy:x:13:13::/:\n")
    group = file("etc/group", b"adm:x:4:\nwww-data:x:33:\nproxy:x:13:\n")
    followed, tree, _ = follow(
        text, passwd, group, file("etc/a"), file("etc/b"), file("usr/share/demo/c")
    )
    assert followed.unknown == ()
    found = {n.entry.path: (n.entry.mode, n.entry.uid, n.entry.gid) for n in tree}
    assert found["etc/a"] == (0o640, 0, 4)
    assert found["etc/b"] == (0o4711, 0, 33)
    assert found["var/lib/p"] == (0o2750, 13, 13)
    assert found["usr/share/demo/c"] == (0o644, 8, 0)


def test_alternatives_with_slaves_from_a_function() -> None:
    text = """
slave() { echo "--slave $1/$2 $2 $1/$3"; }
update-alternatives --quiet --install /usr/bin/editor editor /usr/bin/demo 50 $(
    slave /usr/share/man/man1 editor.1.gz demo.1.gz
    for x in a b; do slave /usr/bin lz$x xz$x; done
)
update-alternatives --remove old /usr/bin/old
"""
    followed, _, system = follow(text, file("usr/bin/demo", b"", 0o755))
    assert followed == Followed(("alternatives",), ())
    (offered,) = system.offered
    assert offered[:4] == ("/usr/bin/editor", "editor", "/usr/bin/demo", 50)
    assert offered.slaves == (
        ("/usr/share/man/man1/editor.1.gz", "editor.1.gz", "/usr/share/man/man1/demo.1.gz"),
        ("/usr/bin/lza", "lza", "/usr/bin/xza"),
        ("/usr/bin/lzb", "lzb", "/usr/bin/xzb"),
    )


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("ldconfig", "ld.so.cache"),
        ("/sbin/ldconfig -X", "ld.so.cache"),
        ("update-ca-certificates --fresh", "certificates"),
        ("if which py3compile >/dev/null 2>&1; then py3compile -p demo; fi", "pycache"),
        ("/usr/bin/python3.13 -E -S /usr/lib/python3.13/py_compile.py $(ls /x)", "pycache"),
    ],
)
def test_what_the_image_does_otherwise_is_noted(text: str, effect: str) -> None:
    followed, _, _ = follow(text, file("usr/bin/py3compile", b"", 0o755))
    assert followed == Followed((effect,), ())


@pytest.mark.parametrize(
    "text",
    [
        "deb-systemd-helper enable 'x.service' >/dev/null || true",
        "if [ -d /run/systemd/system ]; then systemctl daemon-reload; rm -rf /etc; fi",
        'dpkg-maintscript-helper rm_conffile /etc/x 1.0 -- "$@"',
        ". /usr/share/debconf/confmodule; db_version 2.0; db_get a/b && rm /etc/x; db_stop",
        "if command -v absent >/dev/null; then absent --do-it; fi",
        "invoke-rc.d demo restart || exit $?",
        "dpkg-divert --package demo --remove --divert /bin/x.real /bin/x",
        "getent passwd nobody-such >/dev/null && mkdir /etc/x; true",
        'x=$(mktemp); rm -f "$x"',
        "[ -f /etc/a ] || [ -L /etc/b ] || true # a comment",
        "while read line; do echo $line; done < /etc/a",
        "( cd / && ls | sort )",
    ],
)
def test_what_changes_nothing_is_passed_over(text: str) -> None:
    followed, tree, _ = follow(text)
    assert followed == Followed((), ())
    assert {n.entry.path for n in tree} == {n.entry.path for n in make_tree()}


def test_accounts_that_are_declared_are_taken_for_there() -> None:
    text = """
if ! getent passwd redis >/dev/null; then adduser --system --group redis; fi
adduser --quiet --system --home /var/lib/r --no-create-home --group redis
addgroup --system redis
"""
    followed, _, _ = follow(
        text + "chown redis:redis /etc\n", users={"redis": 100}, groups={"redis": 101}
    )
    assert followed.unknown == ()
    followed, _, _ = follow(text)
    assert all("declare it under `accounts`" in what for what in followed.unknown)
    assert len(followed.unknown) == 2


SYSUSERS = b"# accounts\nu dmn - 'A daemon' /var/lib/d -\ng team -\nm dmn team\n"
TMPFILES = b"""
d /var/lib/made 0750 dmn team - -
d /run/gone 0755 root root
D /var/cache/new
r! /etc/x.lock
L /etc/mtab - - - - ../proc/self/mounts
f /var/lib/mark 0600 - - - text
z /usr/bin/tool 4755 root root
"""


def test_files_of_systemd_are_followed() -> None:
    there = (
        file("usr/lib/sysusers.d/demo.conf", SYSUSERS),
        file("usr/lib/tmpfiles.d/demo.conf", TMPFILES),
        file("usr/bin/tool", b"", 0o755),
        file("usr/bin/systemd-tmpfiles", b"", 0o755),
    )
    text = """
systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} demo.conf
if [ -x "$(command -v systemd-tmpfiles)" ]; then
    systemd-tmpfiles ${DPKG_ROOT:+--root="$DPKG_ROOT"} --create demo.conf || true
fi
"""
    accounts = {"users": {"dmn": 90}, "groups": {"team": 91}}
    followed, tree, _ = follow(text, *there, **accounts)
    assert followed.unknown == ()
    found = {
        n.entry.path: (n.entry.mode, n.entry.uid, n.entry.gid, n.entry.link, n.entry.data)
        for n in tree
    }
    assert found["var/lib/made"] == (0o750, 90, 91, "", b"")
    assert found["var/cache/new"][0] == 0o755
    assert found["etc/mtab"][3] == "../proc/self/mounts"
    assert found["var/lib/mark"] == (0o600, 0, 0, "", b"text")
    assert found["usr/bin/tool"][0] == 0o4755
    assert "run/gone" not in found
    followed, _, _ = follow(text.partition("\nif")[0], *there)
    assert followed.unknown == (
        "it adds the user dmn, the group team: declare it under `accounts`",
    )


# -- what is not -----------------------------------------------------------------------------

_MANY = " ".join(map(str, range(200)))
_LONG = "x" * 50_000
_ALTERNATIVE = "update-alternatives --install {} {} /usr/bin/demo 10"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("frobnicate --all", "`frobnicate`"),
        ("$unset /etc", "`/etc`"),
        ("program=$(cat /etc/x); $program", "a command that is only known when it runs"),
        ("if grep -q x /etc/y; then mkdir /etc/z; fi", "on a condition that is only known"),
        ("grep -q x /etc/y || touch /etc/z", "on a condition that is only known"),
        ("for f in $(ls /etc); do rm -f /etc/x$f; done; rm /etc/demo", ""),
        ("dpkg-divert --add --rename --divert /bin/x.real /bin/x", "dpkg-divert"),
        ("adduser --system demo", "the user demo: declare it under `accounts`"),
        ("chown demo /etc", "there is no user demo"),
        ("chmod u+s /etc", "`chmod u+s /etc`"),
        ("setcap cap_net_raw+ep /usr/bin/ping", "`setcap"),
        ("sed -e s/a/b/ /etc/x > /etc/y", "it writes /etc/y"),
        ("( echo a ) > /etc/y", "it writes /etc/y"),
        ("cp -r /etc /usr", "`cp -r /etc /usr`"),
        ("ln -s x /usr/share/demo/../../../../etc/y/z", ""),
        (". /usr/share/demo/library.sh", "`. /usr/share/demo/library.sh`"),
        ("eval x=1", "`eval`"),
        ("mkdir 'relative'", "`mkdir relative`"),
        ("f() { f; }; f", "too deeply"),
        ("if true; then", "cannot be read"),
        ("echo 'open", "cannot be read"),
        ("x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" + "x=$x$x\n" * 30, "grow without end"),
        ("for a in 1 2 3 4 5 6 7 8 9; do\n" * 8 + "true\n" + "done\n" * 8, "too many steps"),
        ("x=" + "$(echo " * 400 + ")" * 400, "cannot be followed"),
        ("f() " * 3000 + "{ true; }", "cannot be followed"),
        ("[ ² -lt ³ ] || shift ²", "cannot be followed"),
        ("rm -f /etc/[z-a]x; ls /etc/[z-a]; frob", "`frob`"),
        ('f() { f "$@" "$@"; }; f a', "grow without end"),
        (
            f"for i in {_MANY}; do for j in {_MANY}; do : $(echo {_LONG}); done; done",
            "without end",
        ),
        (f"x=$(for i in {_MANY}; do echo {_LONG}$i; done)", "grow without end"),
        (f"for i in {_MANY}; do echo {_LONG} > /etc/$i; done", "grow without end"),
        ("true # " + "x" * 300_000, "too many to be followed"),
        ("chown 4294967295 /etc", "there is no user 4294967295"),
        ("chown :99999999999999999999 /etc", "there is no group 99999999999999999999"),
        (_ALTERNATIVE.format("/usr/bin/vi", "../../x"), "no name of an alternative"),
        (_ALTERNATIVE.format("/usr/bin/vi", "''"), "no name of an alternative"),
        (_ALTERNATIVE.format("/usr/bin/vi", ".."), "no name of an alternative"),
        (_ALTERNATIVE.format("usr/bin/vi", "vi"), "no place of the alternative vi"),
        (_ALTERNATIVE.format("/usr/bin/demo", "vi"), "no place of the alternative vi"),
    ],
)
def test_what_is_not_understood_is_told(text: str, told: str) -> None:
    followed, _, _ = follow(text)
    if told:
        assert any(told in what for what in followed.unknown), followed


def test_nothing_is_done_on_a_condition_that_cannot_be_told() -> None:
    text = "if grep -q x /etc/y; then x=1; rm /etc/demo; else x=2; fi\nmkdir /etc/$x"
    followed, tree, _ = follow(text, file("etc/demo"))
    assert "etc/demo" in tree
    assert len(followed.unknown) == 2
    assert not any(path in tree for path in ("etc/1", "etc/2"))


def test_looking_through_a_large_image_again_and_again_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imagist.build.derived.maintainer._MOST_LOOKED", 10_000)
    many = [file(f"usr/share/demo/{number}") for number in range(1000)]
    followed, _, _ = follow("for i in 1 2 3; do chmod -R 755 /etc; done", *many)
    assert followed.unknown == ()
    followed, _, _ = follow(f"for i in {_MANY}; do chmod -R 755 /etc; done", *many)
    assert any("goes through the whole image" in what for what in followed.unknown)


def test_patterns_take_no_time_without_end() -> None:
    there = [file("etc/" + "a" * 200), file("etc/aab")]
    found = made("rm -f /etc/" + "*a" * 40 + "b; rm /etc/[!b]a?; mkdir /etc/*x", *there)
    assert set(found) == {"etc/*x"}
    followed, tree, _ = follow("rm -f /etc/" + "*a" * 2 + "*b /etc/[!b]a?", *there)
    assert followed.unknown == ()
    assert "etc/aab" not in tree


def test_lines_of_tmpfiles_that_say_nothing_are_told() -> None:
    lines = file("usr/lib/tmpfiles.d/odd.conf", b'- /etc/x\n"" /etc/y\nd /etc/z\n')
    followed, tree, _ = follow("systemd-tmpfiles --create odd.conf", lines)
    assert followed.unknown == ("`systemd-tmpfiles` with - /etc/x",)
    assert "etc/z" in tree


def test_an_alternative_takes_no_place_of_a_folder() -> None:
    for place in ("/", "/usr/..", "/etc"):
        _, tree, system = follow(_ALTERNATIVE.format(place, "vi"), file("usr/bin/demo"))
        (warning,) = link_alternatives(tree, system.offered, epoch=0)
        assert f"{place} is a directory" in warning
        assert "" not in tree


def test_programs_that_are_no_shell_scripts_are_told() -> None:
    system = TreeSystem(make_tree(), MemoryContents(), epoch=0)
    found = follow_script("#!/usr/bin/perl\n", system, package="a", arguments=(), arch="amd64")
    assert found.unknown == ("it is no shell script: #!/usr/bin/perl",)


# -- the pieces ------------------------------------------------------------------------------


def test_words() -> None:
    tokens = split_tokens("a 'b c'\"d\"e\\ f # g\n")
    assert [plain_text(t) if isinstance(t, tuple) else t for t in tokens] == ["a", "b cde f", "\n"]  # type: ignore[arg-type]


@given(st.text(alphabet="ab \t\n;&|()<>$`'\"\\#{}=-*?[]!ifdoneesac", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        parse_script(text)


VERSIONS = ["", "1.0", "1.0-1", "2:0.1", "1.0~rc1"]


@needs("dpkg")
@pytest.mark.parametrize(
    "operator",
    ["lt", "le", "eq", "ne", "ge", "gt", "lt-nl", "le-nl", "ge-nl", "gt-nl", "<<", ">="],
)
def test_versions_compare_as_dpkg_compares_them(operator: str) -> None:
    for left in VERSIONS:
        for right in VERSIONS:
            if operator in {"<<", ">="} and not (left and right):
                continue
            command = ["dpkg", "--compare-versions", left, operator, right]
            theirs = subprocess.run(command, capture_output=True).returncode == 0
            assert compare_versions(left, operator, right) == theirs, (left, operator, right)


TESTS = [
    "", "x", "-n x", "-n", "-z x", "-e /etc", "-f /etc", "-d /etc", "-d /none", "! -d /etc",
    "a = a", "a = b", "a != b", "1 -lt 2", "2 -ge 3", "-d /etc -a -f /etc", "-d /etc -o -f /etc",
    "! a = b", "-n x -a -n x -a -z x", "= = =", "-f -o",
]  # fmt: skip


@pytest.mark.parametrize("text", TESTS)
def test_conditions_are_those_of_test(text: str) -> None:
    system = TreeSystem(make_tree(), MemoryContents(), epoch=0)
    arguments: list[str | None] = list(text.split())
    done = subprocess.run(["test", *text.split()], capture_output=True)
    assert evaluate_test(arguments, system) in {done.returncode == 0, None}


SCRIPT = """#!/bin/sh
set -e
f() { if [ ! -d "$DPKG_ROOT$1" ]; then mkdir -p -m "$2" "$DPKG_ROOT$1"; fi; }
list="a b  c"
for each in $list "d e"; do f "/made/$each" 0750; done
x=${list#* }; y=${list%% *}; z=${unset:-default}; w=${list:+set}
echo "$x|$y|$z|$w|$#|$1|$*" > "$DPKG_ROOT/made/values"
case "$y" in [ab]) ln -s "t $y" "$DPKG_ROOT/made/case" ;; *) exit 3 ;; esac
cat > "$DPKG_ROOT/made/doc" <<EOF
$y and `echo inner` and $(printf '%s' "in $(echo nested)") \\$kept
EOF
g() { for i in "$@"; do [ "$i" = stop ] && return 0; touch "$DPKG_ROOT/made/g-$i"; done; }
g one two stop three
( y=changed; mkdir "$DPKG_ROOT/made/sub-$y" )
mkdir "$DPKG_ROOT/made/after-$y"
false || { chmod 0700 "$DPKG_ROOT/made/doc"; } && rm -f "$DPKG_ROOT/made/g-two"
mv "$DPKG_ROOT/made/g-one" "$DPKG_ROOT/made/moved"
! false || exit 4
"""


@pytest.mark.skipif(shutil.which("dash") is None, reason="needs dash, not present here")
def test_a_real_shell_comes_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    root = tmp_path / "root"
    root.mkdir()
    env = {"DPKG_ROOT": str(root), "PATH": os.environ["PATH"]}
    subprocess.run(["dash", str(path), "configure", ""], env=env, check=True, umask=0o022)
    theirs = {}
    for item in sorted(root.rglob("*")):
        name = str(item.relative_to(root))
        link = os.readlink(item) if item.is_symlink() else ""
        data = item.read_bytes() if item.is_file() else b""
        theirs[name] = (0o777 if link else item.lstat().st_mode & 0o7777, link, data)
    tree = Tree()
    system = TreeSystem(tree, MemoryContents(), epoch=0)
    found = follow_script(SCRIPT, system, package="a", arguments=("configure", ""), arch="amd64")
    assert found.unknown == ()
    ours = {n.entry.path: (n.entry.mode, n.entry.link, n.entry.data) for n in tree}
    assert ours == theirs
