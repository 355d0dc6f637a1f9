"""File capabilities as Linux stores them, in `security.capability` (capabilities(7))."""

from __future__ import annotations

import re
import struct
from typing import Final

from imagist.errors import RequestError

ATTRIBUTE: Final = "security.capability"
NAMES: Final = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid"),
    *("setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw"),
    *("ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct"),
    *("sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod"),
    *("lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog"),
    *("wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
)
"""Capabilities by their number, without `cap_` (linux/capability.h)."""

_REVISION_2: Final = 0x02000000
_EFFECTIVE: Final = 1
_CLAUSE: Final = re.compile(r"(?P<names>[a-z_,0-9]+)(?P<sign>[=+])(?P<flags>[eip]+)")


def parse_capabilities(text: str) -> bytes:
    """The attribute's value for a text as setcap takes it, `cap_net_bind_service,cap_chown=ep`.

    Names without flags are permitted (`=p`), as ko has it.

    Raises:
        RequestError: the text names no capabilities.
    """
    permitted = inheritable = 0
    effective: set[bool] = set()
    for clause in text.lower().split():
        has_flags = "=" in clause or "+" in clause
        match = _CLAUSE.fullmatch(clause if has_flags else f"{clause}=p")
        if match is None:
            raise _refuse(text)
        bits = 0
        for name in match["names"].split(","):
            plain = name.removeprefix("cap_")
            if plain not in NAMES:
                raise _refuse(text)
            bits |= 1 << NAMES.index(plain)
        flags = match["flags"]
        permitted |= bits if "p" in flags else 0
        inheritable |= bits if "i" in flags else 0
        effective.add("e" in flags)
    if len(effective) != 1:
        raise _refuse(text)
    mask = 0xFFFFFFFF
    return struct.pack(
        "<IIIII",
        _REVISION_2 | (_EFFECTIVE if effective == {True} else 0),
        *(permitted & mask, inheritable & mask, permitted >> 32, inheritable >> 32),
    )


def _refuse(text: str) -> RequestError:
    return RequestError(
        f"`{text}` names no file capabilities",
        help="write them as setcap takes them, such as cap_net_bind_service=ep; the effective "
        "flag is one for all",
    )
