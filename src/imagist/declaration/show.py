"""The declaration as it is understood, for `show config`: what apko's show-config prints."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from imagist.declaration.defaults import with_derived
from imagist.declaration.model import Accounts, Declaration, Entrypoint, Group, PathMutation, User
from imagist.text.yamlwrite import Value, format_yaml

_PASSWORD: Final = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.-]*://[^/?#:@\s]*):[^/?#\s]*@")
_ALWAYS: Final[dict[type, frozenset[str]]] = {
    Entrypoint: frozenset({"type", "command", "shell-fragment", "services"}),
    Accounts: frozenset({"run-as", "users", "groups"}),
    User: frozenset({"username", "uid", "shell", "homedir"}),
    Group: frozenset({"groupname", "gid", "members"}),
    PathMutation: frozenset({"path", "type", "source", "recursive"}),
}
"""Keys that are shown even when empty, once the structure they are in is shown."""


def show_config(declaration: Declaration) -> bytes:
    """The merged declaration as YAML, with what apko derives, and without passwords in URLs.

    Args:
        declaration: merged and checked, without defaults.
    """
    return format_yaml(describe_config(declaration))


def describe_config(declaration: Declaration) -> dict[str, Value]:
    """The same as plain values, for JSON."""
    shown = _show_struct(with_derived(declaration))
    contents = shown.get("contents")
    if isinstance(contents, dict):
        for key in ("repositories", "build_repositories", "runtime_repositories", "keyring"):
            if isinstance(lines := contents.get(key), list):
                contents[key] = [redact(str(line)) for line in lines]
    return shown


def redact(location: str) -> str:
    """A location whose password, if it has one, is replaced."""
    return _PASSWORD.sub(r"\g<head>:xxxxx@", location)


def _show_struct(struct: msgspec.Struct) -> dict[str, Value]:
    """A struct by the names of its keys, without those that are at their default."""
    always = _ALWAYS.get(type(struct), frozenset())
    blank = type(struct)()
    shown: dict[str, Value] = {}
    for entry in msgspec.structs.fields(struct):
        value = getattr(struct, entry.name)
        if entry.encode_name in always or value != getattr(blank, entry.name):
            shown[entry.encode_name] = _show(value)
    return shown


def _show(value: Any) -> Value:
    if isinstance(value, msgspec.Struct):
        return _show_struct(value)
    if isinstance(value, tuple):
        return [_show(item) for item in value]
    if isinstance(value, dict):
        return {key: _show(value[key]) for key in sorted(value)}
    result: Value = value
    return result
