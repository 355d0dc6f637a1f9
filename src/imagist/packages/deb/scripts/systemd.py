"""systemd-sysusers and systemd-tmpfiles, which scripts call with files of their package."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final

from imagist.packages.deb.scripts.call import DECLARE, Call, NotUnderstood, Truth
from imagist.packages.deb.scripts.filecommands import own

_OCTAL: Final = re.compile(r"[:~]?0?([0-7]{3,4})")
_VOLATILE: Final = ("/run/", "/tmp/", "/var/run/", "/dev/", "/proc/", "/sys/")  # noqa: S108
"""Where a container has something else, or what is there does not last."""
_FOLDERS: Final = frozenset("dDvqQ")
_NOTHING: Final = frozenset("rRxXhHtTaA")
"""What cleans up, and attributes that images do not carry."""


def declare_users(call: Call) -> Truth:
    """sysusers.d(5): the accounts of packages are to be declared, as with adduser."""
    missing: list[str] = []
    system = call.walk.system
    for kind, name in ((line[0], line[1]) for line in _lines(call, "sysusers.d") if line[1:]):
        if kind.startswith("u") and not system.has_user(name):
            missing.append(f"user {name}")
        elif kind.startswith("g") and not system.has_group(name):
            missing.append(f"group {name}")
    if missing:
        raise NotUnderstood(f"it adds the {', the '.join(missing)}: {DECLARE}")
    return True


def make_temporary(call: Call) -> Truth:
    """tmpfiles.d(5): folders, links and modes outside of what lives in memory alone."""
    problems: list[str] = []
    for line in _lines(call, "tmpfiles.d"):
        kind, path, mode, user, group, _, argument = [*line, *("-",) * 7][:7]
        # `!` is for booting alone, `^` for credentials, of which a new system has none.
        if {"!", "^"} & set(kind) or kind[0] in _NOTHING or path.startswith(_VOLATILE):
            continue
        bits = _OCTAL.fullmatch(mode)
        if "%" in path + argument or (mode != "-" and bits is None):
            problems.append(f"{kind} {path}")
            continue
        if not _do(
            call, kind[0] + kind[1:].rstrip("-=$~"), path, bits[1] if bits else "", argument
        ):
            problems.append(f"{kind} {path}")
            continue
        names = ["" if name == "-" else name.lstrip(":") for name in (user, group)]
        if any(names) and call.walk.system.exists(path) and call.changes():
            own(call, path, *names, recursive=kind.startswith("Z"))
    if problems:
        raise NotUnderstood(f"`{call.name}` with {', '.join(problems)}")
    return True


def _do(call: Call, kind: str, path: str, mode: str, argument: str) -> bool:
    """Carry out one line but for its owner; false where it is not understood."""
    system = call.walk.system
    is_there = system.exists(path) or system.is_kind(path, "symlink")
    if kind[0] in _FOLDERS:
        if not is_there and call.changes():
            system.make_folder(path, int(mode or "755", 8))
        elif mode and is_there and call.changes():
            system.set_mode(path, int(mode, 8), recursive=False)
    elif kind == "f":
        if not is_there and call.changes():
            system.write(path, b"" if argument == "-" else argument.encode())
            system.set_mode(path, int(mode or "644", 8), recursive=False)
    elif kind in {"L", "L+", "L?"}:
        replaces = kind == "L+" and not system.is_kind(path, "directory")
        if argument != "-" and (not is_there or replaces) and call.changes():
            system.link(argument, path)
    elif kind in {"z", "Z", "m"}:
        if mode and is_there and call.changes():
            system.set_mode(path, int(mode, 8), recursive=kind == "Z")
    else:
        return False
    return True


def _lines(call: Call, folder: str) -> Iterator[list[str]]:
    """The lines of the files that a command names, as words."""
    for name in call.known():
        if name.startswith("-"):
            continue
        path = name if name.startswith("/") else f"/usr/lib/{folder}/{name}"
        text = call.walk.system.read_text(path)
        if text is None:
            raise NotUnderstood(f"`{call}`, of which there is no {path}")
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    words = shlex.split(line, posix=True)
                except ValueError:
                    words = line.split()
                if len(words) > 1 and all(words[:2]):
                    yield words
