"""Registries, for commands that speak with one."""

from __future__ import annotations

import argparse

from imagist.cli.closing import UNTIL_THE_END
from imagist.cli.messages import Messages
from imagist.errors import RequestError
from imagist.net.environment import read_environment
from imagist.net.transport import HttpTransport
from imagist.registry.client import Registries

JOBS = 8
"""Requests at a time, unless --jobs asks for more."""


def open_registries(values: argparse.Namespace) -> Registries:
    """All registries, as the flags and the environment say; closed when the command has ended.

    Raises:
        RequestError: --offline forbids to speak with any.
    """
    if values.offline:
        raise RequestError("a registry cannot be asked with --offline", help="leave --offline out")
    messages = Messages(values)
    insecure = bool(getattr(values, "insecure", False))
    transport = HttpTransport(
        read_environment(), verify=not insecure, anonymous=True, limit=None, notice=messages.warn
    )
    UNTIL_THE_END.callback(transport.close)
    jobs = max(JOBS, values.jobs or 0)
    return Registries(transport, insecure=insecure, jobs=jobs, notice=messages.warn)
