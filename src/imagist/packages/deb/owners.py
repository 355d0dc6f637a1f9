"""The accounts that every Debian system has, by the numbers of base-passwd (Policy 9.2.2).

dpkg knows the owners of files by name first, so a name from here means this number, whatever
number stands beside it.
"""

from __future__ import annotations

from typing import Final

USERS: Final = {
    name: number
    for number, name in enumerate(
        ["root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp"]
    )
} | {
    "proxy": 13, "www-data": 33, "backup": 34, "list": 38, "irc": 39, "nobody": 65534,
}  # fmt: skip
GROUPS: Final = {
    name: number
    for number, name in enumerate(
        ["root", "daemon", "bin", "sys", "adm", "tty", "disk", "lp", "mail", "news", "uucp"]
    )
} | {
    "man": 12, "proxy": 13, "kmem": 15, "dialout": 20, "fax": 21, "voice": 22, "cdrom": 24,
    "floppy": 25, "tape": 26, "sudo": 27, "audio": 29, "dip": 30, "www-data": 33,
    "backup": 34, "operator": 37, "list": 38, "irc": 39, "src": 40, "shadow": 42,
    "utmp": 43, "video": 44, "sasl": 45, "plugdev": 46, "staff": 50, "games": 60,
    "users": 100, "nogroup": 65534,
}  # fmt: skip
