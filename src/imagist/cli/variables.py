"""The environment variables that the flags read, and those that nobody reads."""

from __future__ import annotations

from collections.abc import Iterable

from imagist.cli.table import GLOBAL_FLAGS, commands

PREFIX = "IMAGIST_"
OURS = "IMAGIST_TEST_"
"""What the project's own tests read."""


def find_unknown(names: Iterable[str]) -> list[str]:
    """A warning for each variable of our prefix that belongs to no flag of any command."""
    flags = [*GLOBAL_FLAGS, *(flag for command in commands() for flag in command.flags)]
    known = {flag.environment: flag.name for flag in flags if flag.twin}
    unknown = [name for name in names if name not in known and not name.startswith(OURS)]
    if not unknown:
        return []
    from imagist.text.suggest import suggest

    warnings = []
    for name in sorted(unknown):
        meant = suggest(name.removeprefix(PREFIX), known.values())
        guess = f"; did you mean {PREFIX}{meant.upper().replace('-', '_')}?" if meant else ""
        warnings.append(f"nothing reads the variable {name}{guess}")
    return warnings
