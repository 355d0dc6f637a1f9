"""The table of commands: every verb and the flags that all of them have."""

from __future__ import annotations

from collections.abc import Iterator

from imagist.cli.command import Command, Flag

GLOBAL_FLAGS = (
    Flag("directory", "run as if started in DIR", short="C", metavar="DIR", aliases=("workdir",)),
    Flag("quiet", "no progress and no warnings on stderr", short="q", kind="switch"),
    Flag("verbose", "say more about what is done and why", short="v", kind="switch"),
    Flag("json", "print one JSON document instead of text", kind="switch"),
    Flag(
        "cache",
        "the store's folder (default: imagist in the XDG cache folder)",
        metavar="DIR",
        aliases=("cache-dir",),
    ),
    Flag("offline", "use no network: what is not in the store is an error", kind="switch"),
    Flag("jobs", "threads that hash, inflate and compress", metavar="N", kind="count"),
    Flag(
        "progress",
        "how to show progress: auto, plain or none",
        metavar="HOW",
        default="auto",
        choices=("auto", "plain", "none"),
    ),
    Flag(
        "color",
        "when to colour messages: auto, always or never",
        metavar="WHEN",
        default="auto",
        choices=("auto", "always", "never"),
    ),
)


def commands() -> Iterator[Command]:
    """Every command; whoever stops at the one that is asked for loads no more groups than that."""
    from imagist.cli.verbs.building import BUILDING

    yield from BUILDING
    from imagist.cli.verbs.looking import LOOKING

    yield from LOOKING
    from imagist.cli.verbs.moving import MOVING

    yield from MOVING
    from imagist.cli.verbs.editing import EDITING

    yield from EDITING
    from imagist.cli.verbs.registry import REGISTRY

    yield from REGISTRY
    from imagist.cli.verbs.keeping import KEEPING

    yield from KEEPING


def find_command(name: str) -> Command | None:
    """The command of a name; None where there is none."""
    return next((command for command in commands() if command.name == name), None)
