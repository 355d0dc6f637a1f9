"""Credential helpers: `docker-credential-NAME` programs, asked over their standard streams.

The protocol is that of docker-credential-helpers: the action is the argument; `get` and `erase`
take the server's name, `store` takes a JSON object, and `get` answers with one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import InputError, NotFound
from imagist.registry.credential import Credential
from imagist.registry.dockerconfig import Helper
from imagist.text.diagnostics import printable

if TYPE_CHECKING:
    import subprocess

TOKEN_USER: Final = "<token>"  # noqa: S105 - a name
"""The user under which a helper keeps an identity token."""
PATIENCE: Final = 60.0
"""Seconds for an answer: a person may have to unlock something first."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UNKNOWN: Final = "credentials not found"
_SAID: Final = 200
"""Characters of a helper's complaint that are passed on."""


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    """What `get` prints, and `store` takes."""

    username: str = ""
    secret: str = ""
    server_url: str = msgspec.field(name="ServerURL", default="")

    def __repr__(self) -> str:
        return "_Answer(***)"


def program_of(helper: Helper) -> str:
    """The name of a helper's program."""
    return f"docker-credential-{helper.name}"


def ask(
    helper: Helper, path: str, origin: str, *, patience: float = PATIENCE
) -> Credential | None:
    """What a helper knows of a server; None where it knows nothing.

    Args:
        helper: the program, and the server.
        path: folders in which the program is looked up.
        origin: the file that names the helper, for people.
        patience: seconds for an answer.

    Raises:
        NotFound: there is no such program.
        InputError: it fails for another reason than not to know, or says something odd.
    """
    code, said, complaint = _run(helper, "get", helper.server.encode(), path, origin, patience)
    program = program_of(helper)
    if code:
        if _UNKNOWN in said.lower() or _UNKNOWN in complaint.lower():
            return None
        raise _failed(helper, origin, said or complaint)
    try:
        answer = msgspec.json.decode(said, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(
            f"{program} answers something else than credentials for {helper.server}",
            where=origin,
            help=f"try it: echo {helper.server} | {program} get",
        ) from None
    if not answer.secret and not answer.username:
        return None
    source = f"{program}, which {origin} names"
    if answer.username == TOKEN_USER:
        return Credential(identity_token=answer.secret, origin=source)
    return Credential(user=answer.username, password=answer.secret, origin=source)


def store(helper: Helper, credential: Credential, path: str, origin: str) -> None:
    """Have a helper keep a credential.

    Raises:
        NotFound: there is no such program.
        InputError: it fails.
    """
    user = TOKEN_USER if credential.identity_token else credential.user
    secret = credential.identity_token or credential.password
    document = msgspec.json.encode(_Answer(user, secret, helper.server))
    code, said, complaint = _run(helper, "store", document, path, origin, PATIENCE)
    if code:
        raise _failed(helper, origin, said or complaint)


def erase(helper: Helper, path: str, origin: str) -> None:
    """Have a helper forget a server; it need not know it.

    Raises:
        NotFound: there is no such program.
        InputError: it fails.
    """
    code, said, complaint = _run(helper, "erase", helper.server.encode(), path, origin, PATIENCE)
    if code and _UNKNOWN not in (said + complaint).lower():
        raise _failed(helper, origin, said or complaint)


def _run(
    helper: Helper, action: str, given: bytes, path: str, origin: str, patience: float
) -> tuple[int, str, str]:
    """The exit code of a helper, and what it wrote to its two streams."""
    import shutil  # noqa: PLC0415 - most have no helper
    import subprocess  # noqa: PLC0415

    program = program_of(helper)
    found = shutil.which(program, path=path) if _NAME.fullmatch(helper.name) else None
    if found is None:
        raise NotFound(
            f"the credential helper {printable(program)} for {helper.server} is not in PATH",
            where=origin,
            help="install it, or remove its name from that file",
        )
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own configuration names it
            [found, action], stdin=pipe, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        raise InputError(f"{program} cannot be run: {error.strerror}", where=origin) from None
    with process:
        try:
            said, complaint = process.communicate(given, timeout=patience)
        except subprocess.TimeoutExpired:
            _abandon(process)
            raise InputError(
                f"{program} gave no answer about {helper.server} for {patience:g} seconds",
                where=origin,
                help=f"try it: echo {helper.server} | {program} get",
            ) from None
        except BaseException:
            _abandon(process)
            raise
    return process.returncode, _text(said), _text(complaint)


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """End a helper and do not wait for whoever else may hold its streams."""
    process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _text(data: bytes) -> str:
    return data.decode(errors="replace").strip()


def _failed(helper: Helper, origin: str, said: str) -> InputError:
    """A helper's failure, in its own words unless they may be credentials."""
    words = "" if "{" in said else printable(" ".join(said.split())[:_SAID])
    program = program_of(helper)
    why = f": {words}" if words else ""
    return InputError(
        f"the credential helper {program} fails for {helper.server}{why}",
        where=origin,
        help=f"try it: echo {helper.server} | {program} get",
    )
