"""Commands that speak with a registry of credentials, names and single manifests."""

from __future__ import annotations

from msgspec.structs import replace

from imagist.cli.command import Argument, Command, Flag
from imagist.cli.verbs.flags import INSECURE
from imagist.cli.verbs.looking import IMAGE, NAMES, PLATFORMS

_REGISTRY = Argument("registry", "its host[:port] (default: docker.io)", optional=True)
_FULL_REF = Flag("full-ref", "print full references", kind="switch", twin=False)
_REFERENCES = Argument("references", "what to remove: host/repository:tag", many=True)

REGISTRY = (
    Command(
        "login",
        "log in to a registry",
        "imagist.cli.login",
        (_REGISTRY,),
        (
            Flag(
                "user", "who logs in", short="u", metavar="USER", twin=False, aliases=("username",)
            ),
            Flag(
                "password",
                "the password or access token; see --password-stdin",
                short="p",
                metavar="PASSWORD",
                twin=False,
            ),
            Flag("password-stdin", "read the password from stdin", kind="switch", twin=False),
            INSECURE,
        ),
        "The registry is asked whether it takes the credentials. Then they are kept as Docker "
        "does: in the helper that credHelpers or credsStore of its config.json name (in "
        "DOCKER_CONFIG, else in ~/.docker), else in that file. Podman reads it, too, after its "
        "own auth.json; imagist reads Podman's after Docker's.",
        (
            ("imagist login ghcr.io", "ask for user and password"),
            ("imagist login ghcr.io -u me --password-stdin < token", "in a script"),
        ),
    ),
    Command(
        "logout",
        "log out of a registry",
        "imagist.cli.logout",
        (_REGISTRY,),
        (),
        "Credentials are removed from Docker's config.json and from the helper that it names. "
        "What else knows some, such as Podman's auth.json, is told.",
    ),
    Command(
        "digest",
        "print the digest of an image",
        "imagist.cli.digest",
        (IMAGE,),
        (PLATFORMS, _FULL_REF, INSECURE),
        "Of a registry nothing is fetched but the digest. With one --platform it is that of the "
        "image for it.\n\n" + NAMES,
        (("imagist digest alpine:3.20 --full-ref", "docker.io/library/alpine@sha256:..."),),
    ),
    Command(
        "manifest",
        "print the manifest of an image, byte by byte",
        "imagist.cli.manifest",
        (IMAGE,),
        (PLATFORMS, INSECURE),
        NAMES,
    ),
    Command(
        "config",
        "print the configuration of an image, byte by byte",
        "imagist.cli.config",
        (IMAGE,),
        (
            replace(
                PLATFORMS,
                help="the platform: linux/arm64, amd64 ... (default: the only one, else "
                "linux/amd64)",
            ),
            INSECURE,
        ),
        NAMES,
    ),
    Command(
        "blob",
        "print a blob of a repository",
        "imagist.cli.blob",
        (Argument("blob", "the blob: host/repository@sha256:..."),),
        (INSECURE,),
        "The blob is checked on its way: the last bytes come only when its digest held. Else the "
        "exit code is 3.",
        (("imagist blob alpine@sha256:... > layer.tar.gz", "a layer, as it is"),),
    ),
    Command(
        "ls",
        "list the tags of a repository, or the names of a layout",
        "imagist.cli.ls",
        (Argument("repository", "host/repository, or an OCI layout folder"),),
        (
            _FULL_REF,
            Flag(
                "omit-digest-tags",
                "leave out tags that are made of a digest: sha256-...",
                short="O",
                kind="switch",
                twin=False,
            ),
            INSECURE,
        ),
    ),
    Command(
        "catalog",
        "list the repositories of a registry",
        "imagist.cli.catalog",
        (Argument("registry", "its host[:port]"),),
        (_FULL_REF, INSECURE),
        "Many registries, Docker Hub among them, give nobody such a list.",
    ),
    Command(
        "tag",
        "give an image in a registry more tags",
        "imagist.cli.tag",
        (
            Argument("reference", "the image: host/repository:tag or ...@sha256:..."),
            Argument("tags", "tags to set in the same repository", many=True),
        ),
        (INSECURE,),
        "The manifest or index goes under the tags as it is; nothing else moves.",
        (("imagist tag ghcr.io/team/app:1.2.3 1.2 1 latest", "with all its platforms"),),
    ),
    Command(
        "untag",
        "remove tags, and leave their images",
        "imagist.cli.untag",
        (_REFERENCES,),
        (INSECURE,),
        "Not every registry can do that; one that cannot says so, and nothing is removed.",
    ),
    Command(
        "delete",
        "delete images from their registry",
        "imagist.cli.delete",
        (replace(_REFERENCES, help="what to delete: host/repository@sha256:... or :tag"),),
        (INSECURE,),
        "By digest, the image goes with all its tags. By tag it is up to the registry: most that "
        "allow it remove that tag alone.",
    ),
    Command(
        "tree",
        "show what hangs on an image: platforms, signatures, attestations, SBOMs",
        "imagist.cli.tree",
        (IMAGE,),
        (
            PLATFORMS,
            Flag("artifact-type", "only referrers of this type", metavar="TYPE", twin=False),
            INSECURE,
        ),
        "Referrers are found by the API or the fallback tag, and under cosign's tags. -v shows "
        "digests in full.\n\n" + NAMES,
    ),
)
