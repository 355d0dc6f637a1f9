"""Declarations against apko itself: read alike, or refused alike, but for a list of differences."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagist.declaration.include import load_declaration
from imagist.declaration.show import show_config
from imagist.errors import ImagistError
from support import TESTDATA, find_tool, needs

REFUSED = "refused"
UNREADABLE = "unreadable"
CONFIGS = sorted((TESTDATA / "apko-configs").glob("*.yaml"))
KEY = TESTDATA / "apk" / "minirepo" / "melange.rsa.pub"
KEY_CACHE = "https%3A%2F%2Fpackages.wolfi.dev%2F/os/wolfi-signing.rsa.pub"
"""Where apko's cache has the key that most of the configurations name, so that it can be offline."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configurations with the keys they name."""
    folder = tmp_path_factory.mktemp("configs")
    for config in CONFIGS:
        shutil.copy(config, folder)
    (folder / "examples").mkdir()
    if (folder / "alpine-base.yaml").exists():
        shutil.copy(folder / "alpine-base.yaml", folder / "examples")
    for place in ("testdata", "internal/cli/testdata", f"cache/{KEY_CACHE}"):
        (folder / place).mkdir(parents=True)
        if KEY.exists():
            shutil.copy(KEY, folder / place)
    for key in (folder / "cache").rglob("*.pub/*.pub"):
        key.rename(key.parent / "ANY.etag")
    return folder


def ask_apko(folder: Path, name: str) -> Any:
    tool = find_tool("apko")
    assert tool is not None
    # The appended repository is not shown; without any, apko refuses every configuration.
    done = subprocess.run(
        [tool, "show-config", "--offline", "--cache-dir", str(folder / "cache"), "-r", "./r", name],
        cwd=folder, capture_output=True, timeout=20,
    )  # fmt: skip
    if done.returncode:
        assert b"initialize apk" not in done.stderr, done.stderr
        return REFUSED
    try:
        return yaml.safe_load(done.stdout)
    except yaml.YAMLError:
        return UNREADABLE


def ask_imagist(folder: Path, name: str) -> Any:
    try:
        loaded = load_declaration(lambda path: (folder / path).read_bytes(), name)
    except ImagistError:
        return REFUSED
    return yaml.safe_load(show_config(loaded.declaration))


@needs("apko", "shared")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configurations_of_others_are_read_as_apko_reads_them(folder: Path, config: Path) -> None:
    ours = ask_imagist(folder, config.name)
    assert ours == ask_apko(folder, config.name)
    assert ours != REFUSED


def user(uid: str) -> str:
    return f"accounts: {{users: [{{username: a, uid: {uid}}}]}}\n"


def mode(permissions: str) -> str:
    return f"paths: [{{path: /a, type: directory, permissions: {permissions}}}]\n"


def flag(recursive: str) -> str:
    return f"paths: [{{path: /a, type: directory, permissions: 0o755, recursive: {recursive}}}]\n"


ALIKE: dict[str, str | bytes] = {
    "unknown key": "foo: 1\n",
    "unknown inner key": "contents: {package: [a]}\n",
    "key in other case": "Cmd: a\n",
    "key with underscore": "work_dir: /a\n",
    "duplicate key": "cmd: a\ncmd: b\n",
    "duplicate map key": "environment: {A: a, A: b}\n",
    "duplicate quoted key": "environment: {A: a, 'A': b}\n",
    "list for text": "cmd: [a]\n",
    "text for list": "archs: amd64\n",
    "text for mapping": "contents: x\n",
    "mapping for list": "archs: {a: b}\n",
    "tab as indent": "contents:\n\tpackages: [a]\n",
    "tab in flow": "contents: {\tpackages: [a]}\n",
    "tab after colon": "cmd:\tfoo\n",
    "anchor": "environment: {A: &x foo, B: *x}\n",
    "anchor set again": "environment: {A: &x a, B: &x b, C: *x}\n",
    "unknown alias": "cmd: *x\n",
    "recursive alias": "annotations: &a {x: *a}\n",
    "merge": "environment: &e {A: a}\nannotations: {<<: *e, B: b}\n",
    "merge overridden": "environment: &e {A: a}\nannotations: {<<: *e, A: b}\n",
    "merge of a list": "environment: &e {A: a}\nannotations: {<<: [*e, {A: z, C: c}], B: b}\n",
    "merge in structures": (
        "paths:\n  - &p {path: /a, type: directory, permissions: 0o755}\n  - {<<: *p, path: /b}\n"
    ),
    "merge at the top": "<<: {cmd: foo}\nwork-dir: /x\n",
    "merge of text": "environment: {<<: foo}\n",
    "two merges": "annotations: {<<: {A: a}, <<: {B: b}}\n",
    "0o octal": mode("0o755"),
    "0O octal": mode("0O755"),
    "0 octal": mode("0755"),
    "hexadecimal": mode("0x1ed"),
    "binary": mode("0b111101101"),
    "decimal": mode("493"),
    "underscores": user("10_000"),
    "exponent": user("1e3"),
    "float without fraction": user("10.0"),
    "plus sign": user("+5"),
    "negative": user("-1"),
    "too large": user("4294967296"),
    "quoted number": user("'10'"),
    "tagged number": user("!!int '10'"),
    "number tagged as text": user("!!str 10"),
    "sexagesimal": user("1:30"),
    "date for number": user("2001-01-01"),
    "yes": flag("yes"),
    "On": flag("On"),
    "TRUE": flag("TRUE"),
    "tRue": flag("tRue"),
    "quoted true": flag("'true'"),
    "quoted yes": flag("'yes'"),
    "1 for true": flag("1"),
    "number as text": "cmd: 1\n",
    "yes as text": "cmd: yes\n",
    "float as text": "cmd: 3.10\n",
    "date as text": "cmd: 2001-01-01\n",
    "tagged text": "cmd: !!str 1\n",
    "number tagged, as text": "cmd: !!int 1\n",
    "numbers in a mapping": "environment: {A: 1, B: true, C: 1.50, 2: x}\n",
    "null structure": "contents: ~\n",
    "null text": "cmd:\n",
    "null list": "archs: null\n",
    "null in a mapping": "environment: {A: , B: b}\n",
    "null optional": "layering:\n",
    "empty file": "",
    "only a comment": "# x\n",
    "text document": "foo\n",
    "list document": "- a\n",
    "document end": "cmd: a\n...\n",
    "directive": "%YAML 1.1\n---\ncmd: a\n",
    "byte order mark": "\ufeffcmd: a\n",
    "carriage returns": "cmd: a\r\nwork-dir: /x\r\n",
    "NUL": "cmd: a\0b\n",
    "control character": "cmd: 'a\x01b'\n",
    "not UTF-8": b"cmd: \xff\n",
    "complex key": "environment: {[a]: b}\n",
    "folded": "cmd: >\n  a\n  b\n",
    "colon in text": "cmd: a: b\n",
    "open quote": 'cmd: "a\n',
    "garbage at the end": "cmd: a\n]\n",
    "uid 0": user("0"),
    "no user name": "accounts: {users: [{uid: 1}]}\n",
    "no group name": "accounts: {groups: [{gid: 1}]}\n",
    "gid 0": "accounts: {groups: [{groupname: a, gid: 0}]}\n",
    "hidden certificate": "certificates: {additional: [{name: .x, content: y}]}\n",
    "runtime key without content": "contents: {runtime_keyring: [{name: x}]}\n",
    "architectures": "archs: [x86_64, aarch64, armhf, armv7, x86, riscv64]\n",
    "slashes of repositories": "contents: {repositories: [https://a/b/, '@t https://x/y//']}\n",
    "password": "contents: {repositories: ['https://u:p@h/x', '@t https://u:p@h']}\n",
    "not a repository": "contents: {repositories: ['a b']}\n",
    "empty structures": "layering: {}\ncertificates: {}\n",
    "service bundle": "entrypoint: {type: service-bundle, services: {a: b}}\n",
    "other service": "entrypoint: {services: {a: b}}\n",
    "missing include": "include: nope.yaml\n",
    "volumes": "volumes: [/a, /b]\nvcs-url: https://x@abc\n",
}  # fmt: skip

DIFFERENT: dict[str, tuple[str | bytes, str]] = {
    "no mode": ("paths: [{path: /a, type: directory}]\n", "apko makes it 0000"),
    "decimal that looks octal": (mode("755"), "apko takes it for 0o1363"),
    "octal with an 8": (mode("0888"), "apko takes it for decimal"),
    "fraction": (user("1.5"), "apko takes it for 1"),
    "null entry": ("contents: {packages: [a, ~]}\n", "apko drops it silently"),
    "null key": ("environment: {~: x}\n", "apko drops it silently"),
    "two documents": ("cmd: a\n---\ncmd: b\n", "apko drops the second silently"),
    "UTF-16": ("cmd: a\n".encode("utf-16"), "places would be counted differently by editors"),
    "own tag": ("cmd: !foo x\n", "apko drops the tag silently"),
    "base64": ("cmd: !!binary aGk=\n", "nobody reads it"),
    "quoted <<": ("environment: {'<<': foo}\n", "apko writes YAML that cannot be read"),
    "unknown architecture": ("archs: [foo]\n", "apko fails later"),
    "architecture twice": ("archs: [x86, 386]\n", "apko builds it once, too, but shows it twice"),
    "open quote in cmd": ("cmd: \"'\"\n", "apko fails later"),
    "odd package": ("contents:\n  packages:\n  - a\n   - b\n", "apko fails later: `a - b`"),
    "unknown entrypoint type": ("entrypoint: {type: other}\n", "apko ignores it"),
    "unknown mutation": ("paths: [{path: /a, type: foo}]\n", "apko fails later"),
    "unknown strategy": ("layering: {strategy: foo}\n", "apko fails later"),
    "base image with cmd": (
        "contents: {baseimage: {image: x, apkindex: y}}\ncmd: a\n",
        "its files are read, so everything can be combined with it",
    ),
    "empty certificate": (
        "certificates: {additional: [{name: x, content: y}]}\n", "apko fails later"
    ),
    "our keys": ("ports: [80]\nlabels: {a: b}\n", "apko has no such keys"),
}  # fmt: skip
"""Where we mean to differ, and why."""


def ask_both(folder: Path, text: str | bytes) -> tuple[Any, Any]:
    (folder / "odd.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    ours, theirs = ask_imagist(folder, "odd.yaml"), ask_apko(folder, "odd.yaml")
    return ours, theirs


@needs("apko", "shared")
@pytest.mark.parametrize("name", ALIKE)
def test_odd_declarations_are_read_or_refused_alike(folder: Path, name: str) -> None:
    ours, theirs = ask_both(folder, ALIKE[name])
    assert ours == theirs


@needs("apko", "shared")
@pytest.mark.parametrize("name", DIFFERENT)
def test_the_list_of_differences_is_true(folder: Path, name: str) -> None:
    text, reason = DIFFERENT[name]
    ours, theirs = ask_both(folder, text)
    assert ours != theirs, f"no longer different: {reason}"
