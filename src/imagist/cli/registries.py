"""Registries, for commands that speak with one."""

from __future__ import annotations

import argparse

from msgspec.structs import replace

from imagist.cli.closing import UNTIL_THE_END
from imagist.cli.messages import Messages
from imagist.errors import RequestError
from imagist.net.environment import read_environment
from imagist.net.transport import HttpTransport
from imagist.oci.reference import Reference, parse_reference
from imagist.registry.client import Registries
from imagist.registry.scope import Authorization, OnDemand

JOBS = 8
"""Requests at a time, unless --jobs says otherwise."""
_open: list[Registries] = []


def open_registries(values: argparse.Namespace) -> Registries:
    """All registries, as the flags and the environment say; closed when the command has ended.

    A command has them once: what was seen in one repository need not be sent to the next.

    Raises:
        RequestError: --offline forbids to speak with any.
    """
    if not _open:
        messages = Messages(values)
        transport = open_transport(values, messages)
        _open.append(
            Registries(
                transport,
                OnDemand(lambda: _authorizer(transport)),
                insecure=is_insecure(values),
                jobs=values.jobs or JOBS,
                notice=messages.warn,
            )
        )
        UNTIL_THE_END.callback(_open.clear)
    return _open[0]


def _authorizer(transport: HttpTransport) -> Authorization:
    from imagist.registry.authorize import Authorizer
    from imagist.registry.environment import read_registry_environment
    from imagist.registry.keychain import Keychain

    return Authorizer(transport, Keychain(read_registry_environment()))


def open_transport(values: argparse.Namespace, messages: Messages) -> HttpTransport:
    """What makes the requests, without any credentials; closed when the command has ended.

    Raises:
        RequestError: --offline forbids to make any.
    """
    if values.offline:
        raise RequestError("a registry cannot be asked with --offline", help="leave --offline out")
    verify = not is_insecure(values)
    transport = HttpTransport(
        read_environment(), verify=verify, anonymous=True, limit=None, notice=messages.warn
    )
    UNTIL_THE_END.callback(transport.close)
    return transport


def read_repository(name: str) -> Reference:
    """The repository that a word of the command line names, as a reference without tag and digest.

    Raises:
        RequestError: it names something else.
    """
    last = name.rpartition("/")[2]
    reference = parse_reference(name.removeprefix("docker://"))
    if ":" in last or "@" in last:
        help_ = f"leave out what comes behind {reference.repository.rpartition('/')[2]}"
        if "/" not in name and reference.tag.isdigit():  # a host and its port look like this
            help_ += f"; of a registry, `imagist catalog {name}` lists the repositories"
        raise RequestError(f"`{name}` is not the name of a repository", help=help_)
    return replace(reference, tag="")


def is_insecure(values: argparse.Namespace) -> bool:
    """Whether plain http and any certificate will do."""
    return bool(getattr(values, "insecure", False))
