"""Commands that read a declaration. Names and meanings of flags are apko's where they can be."""

from __future__ import annotations

from imagist.cli.command import Argument, Command, Flag
from imagist.cli.verbs.flags import INSECURE

_THING = Argument(
    "thing", "an image's YAML file, a lock of one, or the folder of a project: its base is meant"
)
_ANY_THING = Argument(
    "thing", "an image's YAML file, a lock of one, or a project: its folder or a file there"
)

_DECLARATION = (
    Flag(
        "platform",
        "only these platforms: linux/arm64, amd64, x86_64, host, all; by comma or repeated",
        metavar="PLATFORM",
        kind="list",
        aliases=("arch",),
    ),
    Flag(
        "include-paths", "folders in which `include` is looked up too", metavar="DIR", kind="list"
    ),
    Flag(
        "keyring-append", "a public key to trust too", short="k", metavar="PATH|URL", kind="list"
    ),
    Flag(
        "build-repository-append",
        "a repository to build from too",
        short="b",
        metavar="REPOSITORY",
        kind="list",
        commas=False,
    ),
    Flag(
        "repository-append",
        "a repository to build from, and to leave in the image",
        short="r",
        metavar="REPOSITORY",
        kind="list",
        commas=False,
    ),
    Flag("package-append", "a package to install too", short="p", metavar="PACKAGE", kind="list"),
    Flag("lock", "take the packages from this lock", metavar="FILE", aliases=("lockfile",)),
    Flag("ignore-signatures", "accept unsigned repositories and unknown keys", kind="switch"),
    Flag(
        "max-apkindex-decompressed-size",
        "bound on a repository index, in bytes",
        metavar="BYTES",
        kind="bytes",
    ),
    Flag(
        "max-apk-control-size",
        "bound on a package's control segment, in bytes",
        metavar="BYTES",
        kind="bytes",
    ),
    Flag(
        "max-apk-data-size",
        "bound on a package's uncompressed data, in bytes",
        metavar="BYTES",
        kind="bytes",
    ),
    Flag(
        "max-http-response-size",
        "bound on one HTTP response, in bytes",
        metavar="BYTES",
        kind="bytes",
    ),
    INSECURE,
)

_BUILDING = (
    Flag(
        "base",
        "what a project is built on: an image, or the YAML file of one",
        metavar="IMAGE",
    ),
    Flag(
        "annotation",
        "an annotation to add, KEY=VALUE (or apko's KEY:VALUE)",
        metavar="K=V",
        kind="list",
        commas=False,
        aliases=("annotations",),
    ),
    Flag(
        "build-date",
        "the time written into the image, RFC 3339 (SOURCE_DATE_EPOCH goes before it)",
        metavar="TIME",
    ),
    Flag(
        "vcs",
        "without a vcs-url, take source and revision from the git checkout",
        kind="switch",
    ),
    Flag(
        "format",
        "tar, or erofs for one file system image",
        metavar="FORMAT",
        choices=("tar", "erofs"),
        twin=False,
    ),
)
"""What decides an image beside its declaration."""

_TO = Flag(
    "tag",
    "where it is to go: registry/repository:tag; repeatable",
    short="t",
    metavar="REF",
    kind="list",
)

BUILDING = (
    Command(
        "build",
        "build an image, and print its digest",
        "imagist.cli.build",
        (_ANY_THING,),
        (
            Flag(
                "output",
                "write the image: an archive if PATH ends in .tar, else an OCI layout folder",
                short="o",
                metavar="PATH",
            ),
            Flag(
                "tag",
                "push the image under this name; with -o, what it is called in the archive or "
                "layout; repeatable",
                short="t",
                metavar="REF",
                kind="list",
            ),
            *_DECLARATION,
            *_BUILDING,
            Flag(
                "watch",
                "build again whenever a file beside the declaration or in the project is saved",
                kind="switch",
                twin=False,
            ),
        ),
        "Without -o and -t the image stays in the store. The digest is that of the index, or that "
        "of the manifest where exactly one platform was asked for with --platform. With a lock, "
        "what the registry has is neither built nor fetched.",
        (
            ("imagist build image.yaml -o image.tar", "an archive for docker load or podman load"),
            ("imagist build image.yaml --platform arm64 -o layout/", "one platform, OCI layout"),
            ("imagist build image.lock.json -t example.org/app:1", "push what was locked"),
            ("imagist build . -t example.org/app:1", "a Python project, by its pyproject.toml"),
        ),
    ),
    Command(
        "plan",
        "say what digest a reference will name, and what must move for that",
        "imagist.cli.plan",
        (_ANY_THING,),
        (
            _TO,
            *_DECLARATION,
            *_BUILDING,
            Flag("check", "exit with 1 if anything would move", kind="switch", twin=False),
        ),
        "What is known from memory or stated by a lock is not built; what nobody knows is built "
        "into the store. Nothing is pushed.",
        (("imagist plan image.lock.json -t example.org/app:1", "before a deployment"),),
    ),
    Command(
        "apply",
        "make references name what a declaration becomes, moving only what is missing",
        "imagist.cli.apply",
        (_ANY_THING,),
        (_TO, *_DECLARATION, *_BUILDING),
        "The same as `imagist build` with -t, and it says what moves.",
        (("imagist apply image.lock.json -t example.org/app:1", "what `plan` has said"),),
    ),
    Command(
        "lock",
        "write down what a declaration is built from, and the digests it becomes",
        "imagist.cli.lock",
        (_ANY_THING,),
        (
            Flag(
                "output",
                "where to write the lock (default: beside the declaration, NAME.lock.json; in the "
                "folder of a project, pylock.toml)",
                short="o",
                metavar="FILE",
                twin=False,
            ),
            Flag(
                "check",
                "write nothing; fail if the lock is not what would be written now",
                kind="switch",
                twin=False,
            ),
            Flag(
                "update",
                "move this package, and what must move with it; all others stay; repeatable "
                "(`*`: all, of a Python project)",
                metavar="PACKAGE",
                kind="list",
                twin=False,
            ),
            *(flag for flag in _DECLARATION if flag.name != "lock"),
            *_BUILDING,
        ),
        "The lock is apko's, which apko builds from too, with the layers of the packages and the "
        "digests of the images added. Give the flags that the build will have: they count. "
        "The lock of a Python project is a pylock.toml for all platforms, which uv resolves.",
        (
            ("imagist lock image.yaml", "resolve anew, and write image.lock.json"),
            ("imagist lock image.yaml --update zlib", "move zlib alone, and say what moved"),
            ("imagist lock image.yaml --check", "in CI: exit code 1 where the lock is stale"),
            ("imagist build image.yaml --lock image.lock.json", "build exactly that"),
            ("imagist lock .", "a Python project: write pylock.toml beside its pyproject.toml"),
        ),
    ),
    Command(
        "show",
        "show what a declaration means: packages, config or keys",
        "imagist.cli.show",
        (
            Argument("what", "what to show", choices=("packages", "config", "keys")),
            _THING,
        ),
        (
            *_DECLARATION,
            Flag(
                "format",
                "a line a package: name-version, name=version, name-(version), or a pattern "
                "like '{name} {size}'",
                metavar="FORMAT",
                twin=False,
            ),
        ),
        "packages: what the solver chose for each platform. config: the declaration with its "
        "includes merged and defaults filled in. keys: the keys that are trusted, and why.",
        (
            ("imagist show packages image.yaml --json", "name, version, arch, origin, size ..."),
            ("imagist show config image.yaml", "the declaration as it is understood"),
        ),
    ),
    Command(
        "why",
        "say why a package is in an image",
        "imagist.cli.why",
        (_THING, Argument("package", "a package's name, or a name it provides")),
        _DECLARATION,
        "",
        (("imagist why image.yaml zlib", "the chain from what you asked for to zlib"),),
    ),
    Command(
        "graph",
        "draw the packages of an image and who needs whom",
        "imagist.cli.graph",
        (_THING,),
        (
            *_DECLARATION,
            Flag(
                "format",
                "the language of the drawing: dot, mermaid or json",
                metavar="FORMAT",
                twin=False,
                default="dot",
                choices=("dot", "mermaid", "json"),
            ),
        ),
        "",
        (("imagist graph image.yaml | dot -Tsvg > image.svg", "a picture, with graphviz"),),
    ),
)
