"""Debian's own commands: alternatives, diversions, overrides, accounts, versions."""

from __future__ import annotations

import re
from typing import Final

from imagist.packages.deb.scripts.alternatives import parse_alternatives
from imagist.packages.deb.scripts.call import DECLARE, DIVERSION, Call, NotUnderstood, Truth
from imagist.packages.deb.scripts.filecommands import own
from imagist.packages.deb.version import matches

_OCTAL: Final = re.compile(r"[0-7]{1,5}")
_COMPARISONS: Final = {"lt": "<<", "le": "<=", "eq": "=", "ge": ">=", "gt": ">>"}


def ask_dpkg(call: Call) -> Truth:
    """`dpkg --compare-versions` and `--print-architecture`; other questions have no answer."""
    words = call.known()
    if words[:1] == ["--compare-versions"] and len(words) == 4:
        return compare_versions(*words[1:])
    if words == ["--print-architecture"]:
        call.walk.print(f"{call.walk.arch}\n")
        return True
    call.walk.print(None)
    return None


def compare_versions(left: str, operator: str, right: str) -> Truth:
    """Versions as dpkg compares them: no version is less than any, with `-nl` more."""
    base = operator.removesuffix("-nl")
    symbol = _COMPARISONS.get(base, operator)
    if left and right and base == "ne":
        return not matches(left, "=", right)
    if left and right:
        return matches(left, symbol, right) if symbol in _COMPARISONS.values() else None
    if not left and not right:
        return base in {"le", "eq", "ge"}
    missing_is_less = operator == base
    return (base in {"lt", "le", "ne"}) if bool(right) == missing_is_less else (
        base in {"gt", "ge", "ne"}
    )  # fmt: skip


def offer_alternatives(call: Call) -> Truth:
    """`update-alternatives`."""
    found = parse_alternatives(call.known())
    if found.asks:
        call.walk.print(None)
        return None
    for name, path in found.choices:
        if call.changes("alternatives"):
            call.walk.system.prefer_alternative(name, path)
    for alternative in found.offered:
        if not call.walk.system.exists(alternative.path):
            raise NotUnderstood(f"`{call}`, of which there is no {alternative.path}")
        if call.changes("alternatives"):
            call.walk.system.add_alternative(alternative)
    return True


def divert(call: Call) -> Truth:
    """`dpkg-divert`: on a new system there are none, and none is made."""
    words = call.known()
    if "--list" in words or "--listpackage" in words:
        return True  # there are none, and nothing is printed
    if "--truename" in words:
        call.walk.print(words[-1] + "\n")
        return True
    if "--remove" in words or any(word.endswith(".usr-is-merged") for word in words):
        return True
    raise NotUnderstood(f"{DIVERSION}, which lets two packages have one path")


def override_mode(call: Call) -> Truth:
    """`dpkg-statoverride`."""
    words = [word for word in call.known() if word not in {"--quiet", "--force", "--force-all"}]
    if "--list" in words:
        return False  # there are none
    if "--remove" in words:
        return True
    if "--add" in words and len(words) == 6 and "--update" in words:
        user, group, mode, path = words[2:]
        if _OCTAL.fullmatch(mode) and call.walk.system.exists(path):
            if call.changes():
                own(call, path, user.removeprefix("#"), group.removeprefix("#"))
                call.walk.system.set_mode(path, int(mode, 8), recursive=False)
            return True
    raise NotUnderstood(f"`{call}`")


def add_account(call: Call) -> Truth:
    """Accounts are declared, with numbers; none is made by chance of what was installed before."""
    options, names = call.split(with_value="ucdgsGpk" if call.name.endswith("add") else "")
    del options
    known = call.arguments[-1] if call.arguments else None
    system = call.walk.system
    is_group = call.name in {"addgroup", "groupadd"}
    for name in [*names, known]:
        if name and (system.has_group(name) if is_group else system.has_user(name)):
            return True
    kind = "group" if is_group else "user"
    raise NotUnderstood(f"it adds the {kind} {known or '...'}: {DECLARE}")
