"""Commands that change files: mkdir, cp, ln, chown and their like."""

from __future__ import annotations

import re
from posixpath import relpath
from typing import Final

from imagist.packages.deb.scripts.call import Call, NotUnderstood, Truth

_OCTAL: Final = re.compile(r"[0-7]{1,5}")


def make_folders(call: Call) -> Truth:
    """`mkdir`, and `install -d`."""
    options, paths = call.split(with_value="mogZ" if call.name == "install" else "mZ")
    mode = options.get("m", options.get("mode", ""))
    if mode and not _OCTAL.fullmatch(mode):
        raise NotUnderstood(f"`{call}`")
    if call.changes():
        for path in _absolute(paths, call):
            bits = int(mode, 8) if mode else 0o777 & ~call.walk.umask
            call.walk.system.make_folder(path, bits)
            own(call, path, options.get("o", ""), options.get("g", ""))
    return True


def install(call: Call) -> Truth:
    """`install`: folders with `-d`, else a file with mode and owner."""
    options, paths = call.split(with_value="mogt")
    if "d" in options or "directory" in options:
        return make_folders(call)
    mode = options.get("m", "755")
    if len(paths) != 2 or not _OCTAL.fullmatch(mode) or "t" in options:
        raise NotUnderstood(f"`{call}`")
    source, target = _absolute(paths, call)
    if call.changes():
        target = _inside(call, target, source)
        call.walk.system.copy(source, target)
        call.walk.system.set_mode(target, int(mode, 8), recursive=False)
        own(call, target, options.get("o", ""), options.get("g", ""))
    return True


def copy(call: Call) -> Truth:
    """`cp` of one file."""
    options, paths = call.split()
    if len(paths) != 2 or options.keys() - set("adfpvPLnTZ"):
        raise NotUnderstood(f"`{call}`")
    source, target = _absolute(paths, call)
    if not call.walk.system.exists(source):
        return False
    if not call.walk.system.is_kind(source, "file"):
        raise NotUnderstood(f"`{call}`")
    target = _inside(call, target, source)
    if not ("n" in options and call.walk.system.exists(target)) and call.changes():
        call.walk.system.copy(source, target)
    return True


def link(call: Call) -> Truth:
    """`ln -s`."""
    options, paths = call.split()
    if "s" not in options or len(paths) != 2 or options.keys() - set("sfnTvr"):
        raise NotUnderstood(f"`{call}`")
    target, path = paths[0], _absolute(paths[1:], call)[0]
    system = call.walk.system
    if not {"n", "T"} & options.keys():
        path = _inside(call, path, target)
    if system.is_kind(path, "symlink") or system.exists(path):
        if "f" not in options:
            return False
        if system.is_kind(path, "directory") and not system.is_kind(path, "symlink"):
            raise NotUnderstood(f"`{call}`, where there is a folder")
    if "r" in options and target.startswith("/"):
        target = _relative(target, path)
    if call.changes():
        system.link(target, path)
    return True


def move(call: Call) -> Truth:
    """`mv` of one file or link."""
    options, paths = call.split()
    if len(paths) != 2 or options.keys() - set("fnvT"):
        raise NotUnderstood(f"`{call}`")
    source, target = _absolute(paths, call)
    system = call.walk.system
    if not (system.is_kind(source, "symlink") or system.exists(source)):
        return False
    if "T" not in options and not system.is_kind(target, "symlink"):
        target = _inside(call, target, source)
    if call.changes():
        system.move(source, target)
    return True


def remove(call: Call) -> Truth:
    """`rm`; what is not there needs no removing."""
    options, paths = call.split()
    system = call.walk.system
    there = [
        path
        for path in paths
        if path.startswith("/") and (system.is_kind(path, "symlink") or system.exists(path))
    ]
    if not there:
        return "f" in options
    if call.name == "rmdir" and not all(map(system.is_empty, there)):
        return "ignore-fail-on-non-empty" in options
    if call.changes():
        for path in there:
            system.remove(path)
    return True


def touch(call: Call) -> Truth:
    """`touch`, as far as it makes files."""
    _, paths = call.split(with_value="rdt")
    missing = [path for path in _absolute(paths, call) if not call.walk.system.exists(path)]
    if missing and call.changes():
        for path in missing:
            call.walk.system.write(path, b"")
            call.walk.system.set_mode(path, 0o666 & ~call.walk.umask, recursive=False)
    return True


def change_owner(call: Call) -> Truth:
    """`chown` and `chgrp`."""
    options, words = call.split()
    if options.keys() - set("RfhvcP") or len(words) < 2:
        raise NotUnderstood(f"`{call}`")
    user, _, group = words[0].replace(".", ":", 1).partition(":")
    if call.name == "chgrp":
        user, group = "", words[0]
    elif words[0].endswith(":"):
        raise NotUnderstood(f"`{call}`")
    paths = _absolute(words[1:], call)
    if not all(map(call.walk.system.exists, paths)):
        return False
    if call.changes():
        for path in paths:
            own(call, path, user, group, recursive="R" in options, follow="h" not in options)
    return True


def own(
    call: Call,
    path: str,
    user: str,
    group: str,
    *,
    recursive: bool = False,
    follow: bool = True,
) -> None:
    """Give a path an owner, where one is named."""
    if user or group:
        call.walk.system.set_owner(path, user, group, recursive=recursive, follow=follow)


def change_mode(call: Call) -> Truth:
    """`chmod` with a number."""
    options, words = call.split()
    if options.keys() - set("Rfvc") or len(words) < 2 or not _OCTAL.fullmatch(words[0]):
        raise NotUnderstood(f"`{call}`")
    paths = _absolute(words[1:], call)
    if not all(map(call.walk.system.exists, paths)):
        return False
    if call.changes():
        for path in paths:
            call.walk.system.set_mode(path, int(words[0], 8), recursive="R" in options)
    return True


def _relative(target: str, path: str) -> str:
    """A target as seen from the folder of a link."""
    return relpath(target, path.rpartition("/")[0] or "/")


def _absolute(paths: list[str], call: Call) -> list[str]:
    if any(not path.startswith("/") for path in paths):
        raise NotUnderstood(f"`{call}`")
    return paths


def _inside(call: Call, target: str, source: str) -> str:
    """Where a file lands: inside of a folder that is there."""
    if not call.walk.system.is_kind(target, "directory"):
        return target
    return f"{target.rstrip('/')}/{source.rstrip('/').rpartition('/')[2]}"
