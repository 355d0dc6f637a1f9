"""Commands that make new images of old ones. Names and meanings of flags are crane's."""

from __future__ import annotations

from msgspec.structs import replace

from imagist.cli.command import Command, Flag
from imagist.cli.verbs.flags import INSECURE
from imagist.cli.verbs.looking import IMAGE, NAMES, PLATFORMS

_OUTPUT = Flag(
    "output",
    "write the image: an archive if PATH ends in .tar, else an OCI layout folder",
    short="o",
    metavar="PATH",
    twin=False,
)
_TAG = Flag(
    "tag",
    "push the image to a registry under this name; with -o, the name it has there; repeatable",
    short="t",
    metavar="REF",
    kind="list",
    twin=False,
)
_PLATFORMS = replace(
    PLATFORMS,
    help="of these platforms alone, which are then all that the result has: linux/arm64, amd64, "
    "host ...; by comma or repeated (default: all)",
)
_GOES = (
    "Every platform of an index is edited. Without -t and -o, an image of a registry is pushed to "
    "where it was (by digest where it was named by digest), and any other stays in the store.\n\n"
)


def _pairs(name: str, help: str, short: str) -> Flag:
    return Flag(name, help, short=short, metavar="K=V", kind="list", commas=False, twin=False)


def _words(name: str, help: str) -> Flag:
    return Flag(name, help, metavar="WORDS", kind="list", commas=False, twin=False)


def _names(name: str, help: str) -> Flag:
    return Flag(name, help, metavar="NAME", kind="list", twin=False)


EDITING = (
    Command(
        "append",
        "put files, folders and ready layers on top of an image",
        "imagist.cli.append",
        (replace(IMAGE, optional=True),),
        (
            Flag(
                "new-layer",
                "what to add, as a layer of its own; repeatable: a tar (.tar, .tar.gz, .tar.zst, "
                "- for stdin), or a file or folder, which SOURCE:/PLACE says the place of",
                short="f",
                metavar="PATH",
                kind="list",
                commas=False,
                aliases=("new_layer",),
                twin=False,
            ),
            Flag(
                "to",
                "the folder that files, and what is in folders, go into (default: /)",
                metavar="DIR",
                twin=False,
            ),
            Flag(
                "owner",
                "who owns what is new, by number (default: 0:0)",
                metavar="UID[:GID]",
                twin=False,
            ),
            Flag("base", "the image; IMAGE says the same", short="b", metavar="IMAGE", twin=False),
            replace(_TAG, aliases=("new_tag",)),
            _OUTPUT,
            Flag(
                "set-base-image-annotations",
                "note in the image what it was appended to, for `rebase`",
                kind="switch",
                twin=False,
            ),
            _PLATFORMS,
            INSECURE,
        ),
        "A tar is a layer as it is; a compressed one keeps its digest. Of files and folders a "
        "layer is made that depends on names, bytes, symlinks and execute bits alone: modes "
        "become 0755 or 0644, the time SOURCE_DATE_EPOCH or 1970. Folders that the image has keep "
        "their modes and owners, and its symlinks are followed. Without IMAGE, or with `scratch`, "
        "the image is new.\n\nEvery platform of an index is edited. The result is pushed only "
        "where -t says; without -t and -o it stays in the store.\n\n" + NAMES,
        (
            (
                "imagist append base.tar -f app/:/srv/app -o new.tar",
                "what is in app, at /srv/app",
            ),
            (
                "imagist append -b base.example/a:1 -f layer.tar.gz -t apps.example/b:1",
                "as crane",
            ),
            ("imagist append -f hello:/bin/hello --platform amd64 -o hello.tar", "from scratch"),
        ),
    ),
    Command(
        "mutate",
        "change labels, annotations and what a runtime does with an image",
        "imagist.cli.mutate",
        (IMAGE,),
        (
            _pairs("label", "set a label", "l"),
            _pairs("annotation", "set an annotation, of the index as well", "a"),
            _pairs("env", "set a variable of the environment", "e"),
            _words("entrypoint", "the new entrypoint, by comma or repeated; it clears cmd"),
            _words("cmd", "the new command, by comma or repeated"),
            Flag("user", "the new user", short="u", metavar="USER", twin=False),
            Flag("workdir", "the new working folder", short="w", metavar="DIR", twin=False),
            Flag(
                "exposed-ports",
                "the new ports, in place of all there are: 80, 53/udp ...",
                metavar="PORT",
                kind="list",
                twin=False,
            ),
            Flag(
                "set-platform",
                "the platform that the image is said to be for",
                metavar="OS/ARCH",
                twin=False,
            ),
            Flag(
                "append",
                "put a tar, file or folder on top first, as `append -f` does",
                metavar="PATH",
                kind="list",
                commas=False,
                twin=False,
            ),
            _names("remove-label", "remove a label"),
            _names("remove-annotation", "remove an annotation"),
            _names("remove-env", "remove a variable"),
            _names(
                "clear",
                "remove entrypoint, cmd, user, workdir, exposed-ports, volumes, healthcheck or "
                "stop-signal",
            ),
            Flag("repo", "push by digest to this repository", metavar="REPOSITORY", twin=False),
            _TAG,
            _OUTPUT,
            _PLATFORMS,
            INSECURE,
        ),
        _GOES + NAMES,
        (
            ("imagist mutate app.tar -l team=web -u 65532 -o new.tar", "every platform of it"),
            ("imagist mutate example.org/app:1 -e LEVEL=info", "edit, and push to where it was"),
        ),
    ),
    Command(
        "rebase",
        "put an image on another base, without touching a layer",
        "imagist.cli.rebase",
        (IMAGE,),
        (
            Flag(
                "old-base",
                "the base that the image stands on (default: what it states)",
                metavar="IMAGE",
                aliases=("old_base",),
                twin=False,
            ),
            Flag(
                "new-base",
                "the base that it shall stand on (default: what the name that it states has now)",
                metavar="IMAGE",
                aliases=("new_base",),
                twin=False,
            ),
            replace(_TAG, aliases=("rebased",)),
            _OUTPUT,
            _PLATFORMS,
            INSECURE,
        ),
        "Each platform goes from the old base's image for it to the new one's. What an image "
        "states of its base are the annotations org.opencontainers.image.base.name and .digest; "
        "both are noted anew. The old base is looked for in the store, then in the repository of "
        "its name, or of the new base where it has none.\n\n" + _GOES + NAMES,
        (
            (
                "imagist rebase app.tar --old_base base-1.tar --new_base base-2.tar -o new.tar",
                "the same layers of its own, on another base",
            ),
        ),
    ),
    Command(
        "flatten",
        "make one layer of all that an image has",
        "imagist.cli.flatten",
        (IMAGE,),
        (_TAG, _OUTPUT, _PLATFORMS, INSECURE),
        "What was deleted by a later layer is gone for good. The same image gives the same layer. "
        "The old history stays.\n\n" + _GOES + NAMES,
        (("imagist flatten app.tar -o flat.tar", "every platform of it"),),
    ),
)
