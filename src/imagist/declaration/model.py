"""The declaration of a base image: apko's YAML with its names and meanings, and our additions.

Every structure is strict (an unknown key is an error) and says nothing about defaults that depend
on other keys; `declaration.defaults` fills those in. The texts below the fields are the
descriptions of the JSON Schema (`declaration.schema`) and of the reference. "Ours" marks what
apko does not have.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Id = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
"""A user or group number."""
Mode = Annotated[int, Meta(ge=0, le=0o7777)]
"""Permission bits with setuid, setgid and sticky."""
Budget = Annotated[int, Meta(ge=0, le=127)]
"""A number of layers; runtimes take no more than this."""
Text = Annotated[str, Meta(extra_json_schema={"$comment": "plain"})]
"""A text that people write without quotes though it looks like a number."""
Retries = Annotated[int, Meta(ge=0, le=0x7FFF_FFFF)]

PathType = Literal["directory", "empty-file", "hardlink", "symlink", "permissions"]


class RuntimeKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public key that the image trusts when packages are added to it later."""

    name: str = ""
    """File name under /etc/apk/keys; the one that signatures of the repository name."""
    content: str = ""
    """The RSA public key, as PEM."""


class BaseImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image to build on top of."""

    image: str = ""
    """An OCI layout folder, an archive, or an image in a registry: `host/repository:tag`, or with
    `@sha256:...`."""
    apkindex: str = ""
    """Path of a folder with `<arch>/APKINDEX`, the packages the base image already has; the
    image's own database says it where absent (apko: required)."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to stay of a package: patterns of paths, in which `**` crosses folders."""

    only: tuple[str, ...] = ()
    """If there are any, nothing else stays."""
    exclude: tuple[str, ...] = ()
    """What goes."""
    include: tuple[str, ...] = ()
    """What stays though `slim` or `exclude` would have it go."""
    strict: bool = False
    """Whether a pattern that means nothing in the package is an error."""


class Slices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Slices of Debian packages, as chisel's releases define them."""

    release: str = ""
    """Folder with `chisel.yaml` and `slices/`."""
    use: tuple[str, ...] = ()
    """Slices to install: `python3.13_standard`. Their packages hold nothing else."""


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The packages of the image and where they come from."""

    repositories: tuple[str, ...] = ()
    """Repositories to install from, also written to /etc/apk/repositories: `url`, a path, or
    `@tag url`. Of Debian packages: `deb [options] [mirror] suite component ...`, a stanza of a
    .sources file, or `deb` for what this machine's own apt has."""
    build_repositories: tuple[str, ...] = ()
    """Repositories to install from that the image does not mention."""
    runtime_repositories: tuple[str, ...] = ()
    """Repositories that are only written to /etc/apk/repositories."""
    keyring: tuple[str, ...] = ()
    """Paths or URLs of RSA public keys (PEM) that indexes may be signed with; they stay in the
    image. For Debian packages: OpenPGP keyrings, armored or not."""
    runtime_keyring: tuple[RuntimeKey, ...] = ()
    """Public keys for the image only, never used to verify what it is built from."""
    packages: tuple[str, ...] = ()
    """Packages to install: `name`, `name=1.2-r0`, `name>1`, `name~1.2`, `name@tag`. Of Debian:
    `name`, `name=1.2-3`, `name (>= 1.2)`, `name/suite`, `name:arch`, `one | other`, `!name`."""
    platform_packages: dict[str, tuple[str, ...]] = {}
    """Ours: more packages for one architecture each, as `arch: [package, ...]`."""
    baseimage: BaseImage | None = None
    """An image to build on top of."""
    slim: tuple[str, ...] = ()
    """Ours: what goes of every package: docs, man, locale, gconv, static-libs, headers. Licences
    stay."""
    select: dict[str, Selection] = {}
    """Ours: what is to stay of single packages."""
    essential: Literal["", "none", "minimal", "full"] = ""
    """Of Debian: `minimal` (absent) adds base-files, without which nothing runs; `full` all that
    are marked essential; `none` nothing."""
    unneeded: tuple[str, ...] = ()
    """Of Debian: packages that nothing is to bring along, though it depends on them: what their
    dependants have them for is not done in this image."""
    slices: Slices | None = None
    """Of Debian: slices instead of whole packages."""
    database: Literal["", "status.d", "dpkg"] = ""
    """Of Debian: `status.d` (absent) is for scanners, `dpkg` all that dpkg and apt need."""
    alternatives: dict[str, str] = {}
    """Of Debian: path by name, whatever the packages' priorities."""
    pycache: bool = True
    """Of Debian: whether Python modules are compiled, where this machine has the same Python."""
    scripts: Literal["", "warn", "fail", "ignore"] = ""
    """Of Debian: what to do about maintainer scripts that are not understood; absent: warn."""


class Entrypoint(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """What a container runs."""

    type: Literal["", "service-bundle"] = ""
    """`service-bundle` runs `services` under s6, which is then installed."""
    command: str = ""
    """The command with its arguments, split as a shell would split words."""
    shell_fragment: str = ""
    """A script for `/bin/sh -c`; it wins over `command`."""
    services: dict[str, str] = {}
    """Commands of the services by name; each becomes `/sv/<name>/run`."""


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to add to /etc/passwd."""

    username: str = ""
    """The name."""
    uid: Id = 0
    """The number; not 0, which is root in every image."""
    gid: Id | None = None
    """The number of the primary group; the uid where absent."""
    shell: str = ""
    """The login shell; /bin/sh where absent."""
    homedir: str = ""
    """The home folder; /home/<username> where absent."""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group to add to /etc/group."""

    groupname: str = ""
    """The name."""
    gid: Id = 0
    """The number."""
    members: tuple[str, ...] = ()
    """Names of the users in it."""


class Accounts(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Users and groups to add, and the user a container runs as."""

    run_as: Text = ""
    """The user a container runs as: a name or a number."""
    users: tuple[User, ...] = ()
    """Users to add."""
    groups: tuple[Group, ...] = ()
    """Groups to add."""


class PathMutation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to a path of the image; they are made in the order written."""

    path: str = ""
    """The path to create or change."""
    type: PathType | Literal[""] = ""
    """What to do: directory, empty-file, hardlink, symlink or permissions."""
    uid: Id | None = None
    """Owner. Where only `gid` is given it becomes 0; where neither is, owners stay."""
    gid: Id | None = None
    """Group. Where only `uid` is given it becomes 0; where neither is, owners stay."""
    permissions: Mode | None = None
    """Permission bits. Absent: 0755 for a directory, 0644 for a file, unchanged for the rest
    (apko: 0)."""
    source: str = ""
    """What a hardlink or symlink points to."""
    recursive: bool = False
    """Also apply permissions and owner to everything below, of a directory or permissions."""


class Layering(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the image is cut into layers."""

    strategy: Literal["", "package", "origin", "single"] = ""
    """`package` (ours, the default): every package whose files can stay as published is its own
    layer. `origin`: packages of one origin share a layer (apko's). `single`: one layer."""
    budget: Budget | None = None
    """The most layers there may be. `package`: in all, 60 where absent. `origin`: below the last
    one, 1 where absent."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate authority for the image to trust."""

    name: str = ""
    """Name of its file under /usr/local/share/ca-certificates."""
    content: str = ""
    """Exactly one certificate, as PEM."""


class Certificates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificate authorities to add to the image's bundles."""

    additional: tuple[Certificate, ...] = ()
    """Certificates written here."""
    providers: tuple[str, ...] = ()
    """Names that packages provide; certificates of those packages are added."""


class Healthcheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Ours: how a runtime probes a container."""

    test: str | tuple[str, ...] = ()
    """A shell command, or a list: `[CMD, program, argument, ...]`, `[CMD-SHELL, command]` or
    `[NONE]`."""
    interval: str = ""
    """Time between probes, such as `30s` or `1m30s`."""
    timeout: str = ""
    """Time after which a probe has failed."""
    start_period: str = ""
    """Time at the start in which failures do not count."""
    start_interval: str = ""
    """Time between probes during the start period."""
    retries: Retries = 0
    """Failures in a row that make a container unhealthy."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ours: a file or folder to put into the image."""

    path: str = ""
    """Where it goes."""
    content: str | None = None
    """The text of the file; either this or `source`."""
    source: str | None = None
    """A local file or folder, relative to the declaration that names it."""
    uid: Id = 0
    """Owner."""
    gid: Id = 0
    """Group."""
    permissions: Mode | None = None
    """Permission bits. Absent: 0644 for text; of a source, whether its owner may run it decides
    between 0644 and 0755."""
    mtime: Annotated[int, Meta(ge=0)] | None = None
    """Seconds since 1970; the image's time where absent."""


class Declaration(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """The declaration of an image."""

    contents: Contents = Contents()
    """The packages of the image and where they come from."""
    entrypoint: Entrypoint = Entrypoint()
    """What a container runs."""
    cmd: str = ""
    """Arguments to the entrypoint, or the command where there is none; split as a shell would."""
    stop_signal: str = ""
    """The signal that ends a container, such as SIGTERM."""
    work_dir: str = ""
    """The folder a container starts in."""
    accounts: Accounts = Accounts()
    """Users and groups to add, and the user a container runs as."""
    archs: tuple[str, ...] = ()
    """Architectures to build for, by their OCI or APK names; all nine where absent."""
    environment: dict[str, Text] = {}
    """Environment variables. PATH and SSL_CERT_FILE have defaults."""
    paths: tuple[PathMutation, ...] = ()
    """Changes to paths, in order."""
    files: tuple[File, ...] = ()
    """Ours: files and folders to add, in order, before `paths`."""
    vcs_url: str = ""
    """Where the declaration is kept: `url@revision`."""
    annotations: dict[str, Text] = {}
    """Annotations of the manifests and the index, and labels where `labels` is absent."""
    labels: dict[str, Text] | None = None
    """Ours: labels of the configuration, in place of the annotations."""
    ports: tuple[Text, ...] = ()
    """Ours: ports a container listens on, as `8080` or `53/udp`."""
    healthcheck: Healthcheck | None = None
    """Ours: how a runtime probes a container."""
    include: str = ""
    """Path of another declaration, to which this one is added."""
    volumes: tuple[str, ...] = ()
    """Folders that a runtime keeps outside the container."""
    layering: Layering | None = None
    """How the image is cut into layers."""
    certificates: Certificates | None = None
    """Certificate authorities to add to the image's bundles."""
    format: Literal["", "tar", "erofs"] = ""
    """What a layer is: a compressed tar (default), or one EROFS file system."""
