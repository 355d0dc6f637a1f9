"""Commands about imagist itself: its store, and what it understands."""

from __future__ import annotations

from imagist.cli.command import Argument, Command, Flag

KEEPING = (
    Command(
        "cache",
        "look at or tidy the store",
        "imagist.cli.cache",
        (Argument("what", "what to do", choices=("info", "prune", "verify")),),
        (
            Flag("older-than", "prune what was not used for so many days", metavar="DAYS"),
            Flag(
                "max-size", "prune the least used until the store is this small", metavar="BYTES"
            ),
        ),
    ),
    Command(
        "schema",
        "print the JSON Schema of a declaration, for editors",
        "imagist.cli.schema",
    ),
)
