"""The table of commands: every verb and the flags that all of them have."""

from __future__ import annotations

from imagist.cli.command import Flag
from imagist.cli.verbs.building import BUILDING
from imagist.cli.verbs.editing import EDITING
from imagist.cli.verbs.keeping import KEEPING
from imagist.cli.verbs.looking import LOOKING
from imagist.cli.verbs.moving import MOVING
from imagist.cli.verbs.registry import REGISTRY

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

COMMANDS = (*BUILDING, *LOOKING, *MOVING, *EDITING, *REGISTRY, *KEEPING)
