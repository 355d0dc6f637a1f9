"""Registries, for commands that speak with one."""

from __future__ import annotations

import argparse

from imagist.cli.closing import UNTIL_THE_END
from imagist.cli.messages import Messages
from imagist.errors import RequestError
from imagist.net.environment import read_environment
from imagist.net.transport import HttpTransport
from imagist.registry.authorize import Authorizer
from imagist.registry.client import Registries
from imagist.registry.environment import read_registry_environment
from imagist.registry.keychain import Keychain

JOBS = 8
"""Requests at a time, unless --jobs asks for more."""
_open: list[Registries] = []


def open_registries(values: argparse.Namespace) -> Registries:
    """All registries, as the flags and the environment say; closed when the command has ended.

    A command has them once: what was seen in one repository need not be sent to the next.

    Raises:
        RequestError: --offline forbids to speak with any.
    """
    if values.offline:
        raise RequestError("a registry cannot be asked with --offline", help="leave --offline out")
    if _open:
        return _open[0]
    messages = Messages(values)
    insecure = bool(getattr(values, "insecure", False))
    transport = HttpTransport(
        read_environment(), verify=not insecure, anonymous=True, limit=None, notice=messages.warn
    )
    UNTIL_THE_END.callback(transport.close)
    jobs = max(JOBS, values.jobs or 0)
    authorizer = Authorizer(transport, Keychain(read_registry_environment()))
    _open.append(
        Registries(transport, authorizer, insecure=insecure, jobs=jobs, notice=messages.warn)
    )
    UNTIL_THE_END.callback(_open.clear)
    return _open[0]
