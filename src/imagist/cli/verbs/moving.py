"""Commands that move images between registries, layouts, archives and the store."""

from __future__ import annotations

from imagist.cli.command import Argument, Command, Flag
from imagist.cli.verbs.flags import INSECURE
from imagist.cli.verbs.looking import IMAGE, NAMES, PLATFORMS

_NONDISTRIBUTABLE = Flag(
    "allow-nondistributable-artifacts",
    "push layers too that are not meant to be distributed",
    kind="switch",
)

MOVING = (
    Command(
        "push",
        "push an image to a registry, and print its reference with its digest",
        "imagist.cli.push",
        (IMAGE, Argument("reference", "the name to push to: host/repository:tag")),
        (
            PLATFORMS,
            Flag(
                "all-tags",
                "push every named image of a layout, each as REPOSITORY:NAME",
                short="a",
                kind="switch",
                twin=False,
            ),
            Flag(
                "image-refs",
                "write the references that were pushed, with digests, to this file too",
                metavar="FILE",
                twin=False,
            ),
            _NONDISTRIBUTABLE,
            INSECURE,
        ),
        "Only what the registry lacks is sent; tags are set when everything is there.\n\n" + NAMES,
        (
            ("imagist push image.tar ghcr.io/team/app:1", "an archive, all its platforms"),
            ("imagist push layout/ localhost:5000/team --all-tags", "all images of a layout"),
        ),
    ),
    Command(
        "pull",
        "fetch an image from a registry, and print its digest",
        "imagist.cli.pull",
        (
            Argument("reference", "the image: host/repository:tag or ...@sha256:..."),
            Argument("path", "where to write it, as -o", optional=True),
        ),
        (
            Flag(
                "output",
                "write the image: an archive if PATH ends in .tar, else an OCI layout folder",
                short="o",
                metavar="PATH",
                twin=False,
            ),
            Flag(
                "format",
                "tarball (an archive) or oci (a layout), whatever PATH is called",
                metavar="FORMAT",
                choices=("tarball", "oci"),
                twin=False,
            ),
            PLATFORMS,
            INSECURE,
        ),
        "Without a path the image comes into the store.",
        (
            ("imagist pull alpine:3.20 -o alpine.tar", "an archive for docker or podman load"),
            ("imagist pull alpine:3.20 --platform arm64 -o layout/", "one platform, a layout"),
        ),
    ),
    Command(
        "copy",
        "copy an image with its signatures and attestations",
        "imagist.cli.copy",
        (
            Argument("source", IMAGE.help),
            Argument("target", "a reference, a layout folder (`dir/`), an archive, or `store:`"),
        ),
        (
            PLATFORMS,
            Flag(
                "all-tags",
                "copy a whole repository, or every named image of a layout",
                short="a",
                kind="switch",
                twin=False,
            ),
            Flag("no-clobber", "leave tags that are there", short="n", kind="switch", twin=False),
            Flag(
                "no-referrers",
                "leave out referrers and what cosign keeps under tags",
                kind="switch",
                twin=False,
            ),
            _NONDISTRIBUTABLE,
            INSECURE,
        ),
        "An index is copied with all its platforms, unless --platform chooses some. Digests stay "
        "what they are. A target is a layout if it is a folder or ends in `/`, an archive if it "
        "ends in .tar; `oci:`, `oci-archive:` and `docker://` settle doubt.\n\n" + NAMES,
        (
            ("imagist copy alpine:3.20 localhost:5000/alpine:3.20", "with all platforms"),
            ("imagist copy -a a.example/team/app b.example/team/app", "all tags of a repository"),
            ("imagist copy -a a.example/team/app kept/", "the same into a layout, to carry it"),
        ),
    ),
)
