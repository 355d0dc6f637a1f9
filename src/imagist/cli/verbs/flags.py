"""Flags that verbs of several families share."""

from __future__ import annotations

from imagist.cli.command import Flag

INSECURE = Flag(
    "insecure",
    "speak with registries over plain http, and believe any certificate",
    kind="switch",
)
"""For every verb that may speak with a registry; this machine's own are asked over http anyway."""
