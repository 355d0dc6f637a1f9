"""etc/passwd, etc/group and etc/shadow: what packages bring and what a declaration adds.

The files are those of passwd(5), group(5) and shadow(5); lines that cannot be read are kept as
they are. Homes of all accounts are made, since nothing else will make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from imagist.build.derived.place import (
    find_file,
    is_too_long,
    make_folders,
    put_file,
    read_file,
    rewrite_file,
)
from imagist.errors import InputError, Problem, RequestError
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Node, Tree

PASSWD: Final = "etc/passwd"  # noqa: S105 - a path
GROUP: Final = "etc/group"
SHADOW: Final = "etc/shadow"
GECOS: Final = "Account created by apko"
"""The comment apko gives; kept, so that both tools write the same file."""
_MAX_ID: Final = 0xFFFFFFFF


class User(msgspec.Struct, frozen=True):
    """A line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/sh"
    gecos: str = GECOS
    password: str = "x"  # noqa: S105 - says that the password is in the shadow file


class Group(msgspec.Struct, frozen=True):
    """A line of group(5)."""

    name: str
    gid: int
    members: tuple[str, ...] = ()
    password: str = "x"  # noqa: S105


class Shadow(msgspec.Struct, frozen=True):
    """A line of shadow(5): name, password, and the seven fields about ageing as written."""

    name: str
    password: str = "!"  # noqa: S105 - no password fits
    rest: tuple[str, ...] = ("", "", "", "", "", "", "")


class Accounts(msgspec.Struct, frozen=True):
    """The users and groups an image ends up with, and what seemed odd on the way."""

    users: tuple[User, ...]
    groups: tuple[Group, ...]
    warnings: tuple[str, ...] = ()


def parse_passwd(text: bytes) -> list[User | str]:
    """The lines of a passwd file; a line that is no account stays text."""
    return [_parse_user(line) for line in _lines(text)]


def parse_group(text: bytes) -> list[Group | str]:
    """The lines of a group file; a line that is no group stays text."""
    return [_parse_group(line) for line in _lines(text)]


def parse_shadow(text: bytes) -> list[Shadow | str]:
    """The lines of a shadow file with every field; a line that is none stays text."""
    return [_parse_shadow(line) for line in _lines(text)]


def format_passwd(lines: Sequence[User | str]) -> bytes:
    """The bytes of a passwd file."""
    return _join(
        line
        if isinstance(line, str)
        else ":".join(
            (
                *(line.name, line.password, str(line.uid), str(line.gid)),
                *(line.gecos, line.home, line.shell),
            )
        )
        for line in lines
    )


def format_group(lines: Sequence[Group | str]) -> bytes:
    """The bytes of a group file."""
    return _join(
        line
        if isinstance(line, str)
        else f"{line.name}:{line.password}:{line.gid}:{','.join(line.members)}"
        for line in lines
    )


def format_shadow(lines: Sequence[Shadow | str]) -> bytes:
    """The bytes of a shadow file."""
    return _join(
        line if isinstance(line, str) else ":".join((line.name, line.password, *line.rest))
        for line in lines
    )


_NO_HOMES: Final = frozenset({"/dev/null", "/nonexistent"})
"""How an account says that it has none."""


def add_accounts(
    tree: Tree,
    contents: Contents,
    *,
    users: Sequence[User] = (),
    groups: Sequence[Group] = (),
    epoch: int,
    all_homes: bool = True,
) -> Accounts:
    """Add the declared accounts to those of the packages, and make homes.

    A user that a package brings with the same uid and gid gets the declared home and shell; a
    group gets the declared members added. `etc/passwd` is made even when empty; `etc/group` and
    `etc/shadow` only where something is added. Files that exist keep their mode and mtime.
    Without `all_homes`, only declared users get one.

    Raises:
        RequestError: a declared account has the name of another one with other numbers, or a
            field that would break the line; all such problems at once.
        InputError: a home is no folder, or longer than any path.
    """
    group_lines = parse_group(_text(tree, contents, GROUP))
    user_lines = parse_passwd(_text(tree, contents, PASSWD))
    shadow_lines = parse_shadow(_text(tree, contents, SHADOW))
    problems: list[Problem] = []
    warnings: list[str] = []
    changed_groups = [_merge_group(group_lines, each, problems, warnings) for each in groups]
    changed_users = [_merge_user(user_lines, each, problems, warnings) for each in users]
    if problems:
        raise RequestError(problems)
    changed_shadow = [_merge_shadow(shadow_lines, each.name) for each in users]

    if any(changed_groups):
        _write(tree, GROUP, format_group(group_lines), mode=0o644, epoch=epoch)
    if any(changed_users) or tree.find(PASSWD) is None:
        _write(tree, PASSWD, format_passwd(user_lines), mode=0o644, epoch=epoch)
    if any(changed_shadow):
        _write(tree, SHADOW, format_shadow(shadow_lines), mode=0o640, epoch=epoch)
    accounts = Accounts(
        tuple(line for line in user_lines if isinstance(line, User)),
        tuple(line for line in group_lines if isinstance(line, Group)),
        tuple(warnings),
    )
    declared = {user.name for user in users}
    for user in accounts.users:
        if user.home not in _NO_HOMES and (all_homes or user.name in declared):
            _make_home(tree, user, epoch=epoch)
    return accounts


def resolve_run_as(accounts: Accounts, run_as: str) -> str:
    """The `User` of an image's config for a declared `run-as`: numbers, so that names may change.

    `name`, `uid`, `name:group` and their numeric forms are taken; the group is kept out where it
    was not stated, since runtimes then take it from etc/passwd (image-spec config.md, User).

    Raises:
        RequestError: a name that the image does not know.
    """
    user, colon, group = run_as.partition(":")
    uids = {each.name: str(each.uid) for each in reversed(accounts.users)}
    gids = {each.name: str(each.gid) for each in reversed(accounts.groups)}
    resolved = _number(user, uids, "user", run_as)
    return f"{resolved}:{_number(group, gids, 'group', run_as)}" if colon else resolved


def _number(name: str, numbers: dict[str, str], kind: str, run_as: str) -> str:
    if name in numbers:
        return numbers[name]
    if name.isascii() and name.isdigit() and int(name) <= _MAX_ID:
        return name
    raise RequestError(
        f"run-as is `{run_as}`, but the image has no {kind} `{name}`",
        help=f"declare it under accounts.{kind}s, or state its number",
    )


def _merge_group(
    lines: list[Group | str], group: Group, problems: list[Problem], warnings: list[str]
) -> bool:
    """Add a group, or its members to the group of that name; whether the file changes."""
    if not _is_valid(problems, f"group `{group.name}`", (group.name, *group.members), group.gid):
        return False
    for place, line in enumerate(lines):
        if isinstance(line, str) or line.name != group.name:
            continue
        if line.gid != group.gid:
            problems.append(_differing(f"group `{group.name}`", f"gid {group.gid}", str(line.gid)))
            return False
        members = tuple(dict.fromkeys((*line.members, *group.members)))
        lines[place] = msgspec.structs.replace(line, members=members)
        return members != line.members
    for line in lines:
        if isinstance(line, Group) and line.gid == group.gid:
            warnings.append(f"groups `{line.name}` and `{group.name}` both have gid {group.gid}")
    lines.append(group)
    return True


def _merge_user(
    lines: list[User | str], user: User, problems: list[Problem], warnings: list[str]
) -> bool:
    """Add a user, or change the home and shell of the one of that name."""
    fields = (user.name, user.home, user.shell, user.gecos)
    if not _is_valid(problems, f"user `{user.name}`", fields, user.uid, user.gid):
        return False
    for place, line in enumerate(lines):
        if isinstance(line, str) or line.name != user.name:
            continue
        if (line.uid, line.gid) != (user.uid, user.gid):
            wanted = f"uid {user.uid} and gid {user.gid}"
            problems.append(
                _differing(f"user `{user.name}`", wanted, f"{line.uid} and {line.gid}")
            )
            return False
        if (line.home, line.shell) == (user.home, user.shell):
            return False
        lines[place] = msgspec.structs.replace(line, home=user.home, shell=user.shell)
        warnings.append(
            f"user `{user.name}` comes with a package; its home is now {user.home} "
            f"instead of {line.home}, its shell {user.shell} instead of {line.shell}"
        )
        return True
    for line in lines:
        if isinstance(line, User) and line.uid == user.uid:
            warnings.append(f"users `{line.name}` and `{user.name}` both have uid {user.uid}")
    lines.append(user)
    return True


def _merge_shadow(lines: list[Shadow | str], name: str) -> bool:
    if any(isinstance(line, Shadow) and line.name == name for line in lines):
        return False
    lines.append(Shadow(name))
    return True


def _differing(what: str, wanted: str, given: str) -> Problem:
    return Problem(
        f"{what} is declared with {wanted}, but exists already with {given}",
        help="declare the numbers it has, choose another name, or leave the declaration out",
    )


def _is_valid(problems: list[Problem], what: str, texts: Sequence[str], *numbers: int) -> bool:
    count = len(problems)
    if any(set(text) & {":", "\n", "\0"} for text in texts) or not texts[0]:
        problems.append(Problem(f"{what}: a field is empty, or has a colon or a line break"))
    if any(not 0 <= number <= _MAX_ID for number in numbers):
        problems.append(Problem(f"{what}: its number is not between 0 and {_MAX_ID}"))
    return len(problems) == count


def _make_home(tree: Tree, user: User, *, epoch: int) -> None:
    if is_too_long(user.home):
        raise InputError(
            f"the home `{user.home[:60]}...` of user `{user.name[:60]}` is longer than any path",
            help="declare another homedir, or /dev/null for an account without one",
        )
    path = tree.resolve(user.home, follow_last=True)
    node = tree.get(path)
    if node is not None and not node.entry.is_directory:
        raise InputError(
            f"the home {user.home} of user `{user.name}` is a {node.entry.kind}, not a folder",
            help="declare another homedir, or /dev/null for an account without one",
        )
    if path and node is None:
        make_folders(tree, parent(path), mtime=epoch)
        home = Entry(path, "directory", 0o700, user.uid, user.gid, epoch)
        tree.put(Node(home))


def _text(tree: Tree, contents: Contents, path: str) -> bytes:
    return read_file(tree, contents, path) or b""


def _write(tree: Tree, path: str, data: bytes, *, mode: int, epoch: int) -> None:
    node = find_file(tree, path)
    if node is None:
        put_file(tree, path, data, mode=mode, epoch=epoch)
    else:
        rewrite_file(tree, node, data, epoch=node.entry.mtime)


def _lines(text: bytes) -> list[str]:
    return text.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n") if text else []


def _join(lines: Iterable[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _parse_user(line: str) -> User | str:
    fields = line.split(":")
    if len(fields) != 7 or not _are_ids(fields[2], fields[3]):
        return line
    name, password, uid, gid, gecos, home, shell = fields
    user = User(name, int(uid), int(gid), home, shell, gecos, password)
    return user if name and str(user.uid) == uid and str(user.gid) == gid else line


def _parse_group(line: str) -> Group | str:
    fields = line.split(":")
    if len(fields) != 4 or not _are_ids(fields[2]) or str(int(fields[2])) != fields[2]:
        return line
    name, password, gid, members = fields
    return Group(name, int(gid), tuple(members.split(",")) if members else (), password)


def _parse_shadow(line: str) -> Shadow | str:
    name, *fields = line.split(":")
    return Shadow(name, fields[0], tuple(fields[1:])) if name and len(fields) == 8 else line


def _are_ids(*texts: str) -> bool:
    return all(text.isascii() and text.isdigit() and len(text) <= 10 for text in texts)
