"""Commands that look into images, and what commands say of the images they take."""

from __future__ import annotations

from msgspec.structs import replace

from imagist.cli.command import Argument, Command, Flag
from imagist.cli.verbs.flags import INSECURE

IMAGE = Argument(
    "image", "a layout folder, an archive, sha256:... in the store, or host/repository:tag"
)
PLATFORMS = Flag(
    "platform",
    "only these platforms: linux/arm64, amd64, host ...; by comma or repeated (default: all)",
    metavar="PLATFORM",
    kind="list",
    aliases=("arch",),
)
NAMES = (
    "An image is an OCI layout folder, an archive, a digest in the store (the beginning of one "
    "will do), or a reference in a registry (host/repository:tag, alpine:3.20, ...@sha256:...). "
    "In case of doubt write `oci:`, `oci-archive:`, `docker-archive:`, `store:` or `docker://` in "
    "front; behind the first three, `:NAME` chooses one of several images."
)

LOOKING = (
    Command(
        "validate",
        "check an image: every digest, size and layer is derived again",
        "imagist.cli.validate",
        (IMAGE,),
        (INSECURE,),
        NAMES,
    ),
    Command(
        "inspect",
        "show what an image is made of: config, layers, packages, files",
        "imagist.cli.inspect",
        (IMAGE,),
        (
            PLATFORMS,
            Flag("files", "list every path: mode, owner, size, layer, package", kind="switch"),
            Flag("layers", "list the entries of each layer, whiteouts included", kind="switch"),
            INSECURE,
        ),
        "A layer is `verbatim` where it is a package's signed bytes, and `written` where imagist "
        "wrote it. Packages are those that own files in the layer. -v shows digests, media types "
        "and lists of packages in full.\n\n" + NAMES,
        (
            ("imagist inspect image.tar", "everything but the files"),
            ("imagist inspect image.tar --files --platform arm64", "like ls -l, with owners"),
        ),
    ),
    Command(
        "history",
        "show how the layers of an image came to be",
        "imagist.cli.history",
        (IMAGE,),
        (PLATFORMS, INSECURE),
        "The base comes first.\n\n" + NAMES,
    ),
    Command(
        "export",
        "write the root file system of an image as a tar",
        "imagist.cli.export",
        (IMAGE,),
        (
            Flag(
                "output",
                "write to this file instead of stdout",
                short="o",
                metavar="FILE",
                twin=False,
            ),
            replace(
                PLATFORMS,
                help="the platform: linux/arm64, amd64 ... (default: the only one, else this "
                "machine's)",
            ),
            INSECURE,
        ),
        "The tar holds what a container would see, with whiteouts applied; the same image gives "
        "the same bytes.\n\n" + NAMES,
        (("imagist export image.tar | tar -x -C rootfs", "unpack it"),),
    ),
    Command(
        "diff",
        "show what differs between two images: packages, config, files, layers",
        "imagist.cli.diff",
        (IMAGE, Argument("other", "the image to compare it with")),
        (
            replace(
                PLATFORMS,
                help="only these platforms: linux/arm64, amd64, host ...; by comma or repeated "
                "(default: those that both have)",
            ),
            Flag("files", "list the files, not only how many of each package", kind="switch"),
            Flag("layers", "list the layers, not only how many", kind="switch"),
            Flag("times", "also tell files of which only the time differs", kind="switch"),
            INSECURE,
        ),
        "The exit code is 0 where the two have the same digest, and 1 where they differ.\n\n"
        + NAMES,
        (("imagist diff old.tar new.tar --files", "from the first to the second"),),
    ),
)
