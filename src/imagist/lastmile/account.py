"""Whether a base knows whom a container runs as; told before a runtime refuses to start it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import Problem, RequestError, Span
from imagist.inspection.python import view_base
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.platform import Platform
from imagist.store.memo import Memo, memo_key
from imagist.text.suggest import did_you_mean

if TYPE_CHECKING:
    from imagist.packages.wheel.detect import Base

STEP: Final = "account-names"
_FILES: Final = (("user", "etc/passwd"), ("group", "etc/group"))
_SHOWN: Final = 8
"""Names that are told at most."""


def check_account(
    user: str,
    image: Image,
    platform: Platform,
    memo: Memo,
    *,
    where: Span | str | None = None,
    jobs: int = 1,
) -> str:
    """See that the names in `user` or `user:group` are in a base; numbers need not be.

    Returns:
        What is said where nobody can know, because a file of the base leads nowhere; or nothing.

    Raises:
        RequestError: the base has no such user or group.
        InputError: the base is damaged.
    """
    names = [
        (kind, file, name)
        for (kind, file), name in zip(_FILES, user.split(":", 1), strict=False)
        if name and not name.isdecimal()
    ]
    if not names:
        return ""
    known = _read_names(image, platform, memo, jobs)
    problems, unknown = [], ""
    for kind, file, name in names:
        there = known[file]
        if there is None:
            unknown = f"{platform}: /{file} of the base leads nowhere, so `{name}` may be nobody"
        elif name not in there:
            some = ", ".join(there[:_SHOWN])
            has = f"there are {some}{' ...' if len(there) > _SHOWN else ''}" if there else ""
            guess = did_you_mean(name, there) or has or "the base has no accounts at all"
            what = f"the base for {platform} has no {kind} `{name}` in /{file}"
            problems.append(Problem(what, where, f"state a number, such as 65532; {guess}"))
    if problems:
        raise RequestError(problems)
    return unknown


def _read_names(
    image: Image, platform: Platform, memo: Memo, jobs: int
) -> dict[str, list[str] | None]:
    """Names by file; none where there is no file, None where it leads nowhere; remembered."""
    key = memo_key(STEP, derive.digest(image))
    value = memo.get(STEP, key)
    if value is not None:
        return msgspec.msgpack.decode(value, type=dict[str, list[str] | None])
    base = view_base(image, "the base", platform, jobs=jobs)
    known = {file: _names(base, file) for _, file in _FILES}
    memo.put(STEP, key, msgspec.msgpack.encode(known))
    return known


def _names(base: Base, file: str) -> list[str] | None:
    """The first field of every line, which is all that runtimes want of one for its name."""
    data = base.read([file]).get(file)
    if data is None:
        return None if base.tree.get(base.tree.resolve(file)) is not None else []
    lines = data.decode("utf-8", "replace").splitlines()
    return [name for name, colon, _ in (line.partition(":") for line in lines) if name and colon]
