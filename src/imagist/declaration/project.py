"""What a Python project says of its image: `[tool.imagist]` in pyproject.toml, or imagist.yaml.

Nothing of it is needed: a project with one entry in `[project.scripts]` and a lock beside it says
enough. The texts below the fields are the descriptions of the JSON Schema (`declaration.schema`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from imagist.declaration.model import Declaration, Healthcheck, Id, Mode, Text

Strings = tuple[str, ...]


class ProjectFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """A file or folder of the project to put into the image, as it is."""

    source: str = ""
    """The file or folder, relative to the project."""
    path: str = ""
    """Where it goes; in a folder that is there, or with a / at the end, under its own name."""
    include: Strings = ()
    """Of a folder: patterns of what is taken, as in .dockerignore; everything where absent."""
    exclude: Strings = ()
    """Of a folder: patterns of what is left out."""
    permissions: Mode | None = None
    """Permission bits of files. Absent: 0755 of what its owner may run, 0644 of the rest."""
    uid: Id = 0
    """Owner."""
    gid: Id = 0
    """Group."""
    capabilities: str = ""
    """Capabilities of files, as setcap takes them: `cap_net_bind_service=ep`."""


class Project(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """The image of a project: a Python application, programs built elsewhere, or files."""

    base: str | Declaration = ""
    """What it is built on: an image of a registry (`host/repository:tag`), a declaration of one
    (`base.yaml`), an OCI layout (`./folder`), a declaration written here, as a table, or `scratch`
    for nothing. Absent: a Debian with Python, of the sources of this machine's apt."""
    packages: Strings = ()
    """Packages to add to a base that is built of a declaration, the default one among them; as
    they are written in `contents.packages` of one."""
    platforms: Strings = ()
    """Platforms to build for, such as `linux/arm64`; all that the base has where absent."""
    python: Text = ""
    """The Python of the base, where it has several or does not tell: `3.12`, `3.12.7`, `3.13t`."""
    libc: str = ""
    """The libc of the base, where it does not tell: `glibc 2.36`, `musl 1.2`."""
    interpreter: str = ""
    """Path of Python in the base, where it is in no folder of PATH."""
    lock: str = ""
    """The lock to install from; absent: the first there is of pylock.toml, uv.lock, poetry.lock,
    pdm.lock and requirements.txt."""
    extras: Strings = ()
    """Extras of the project to install."""
    groups: Strings = ()
    """Dependency groups to install besides."""
    sdists: Strings = ()
    """Packages of which a source distribution will do where no wheel fits; it must be pure."""
    shared: Strings = ()
    """Patterns of files in site-packages that several packages may install, each its own, since it
    does not matter whose is there: `tests/**`. Absent: that is an error."""
    mode: Literal["", "wheel", "source", "none"] = ""
    """How the project itself gets in: built as a `wheel`, copied as `source`, or not (`none`).
    Absent: `wheel` where pyproject.toml names a build system, else `source`."""
    prefix: str = "/opt/venv"
    """The folder of the virtual environment."""
    bytecode: bool = False
    """Add a layer of compiled files, which makes the first start faster and the image larger."""
    entrypoint: str | Strings = ()
    """What a container runs: a list, or one text that is split as a shell would. Absent: the one
    script of `[project.scripts]`, or that of the project's name."""
    command: str | Strings = ()
    """Arguments to the entrypoint, which whoever runs the image may replace."""
    user: Text = ""
    """The user a container runs as: a name or a number; the base's where absent."""
    work_dir: str = ""
    """The folder a container starts in; where `source` goes, or the base's."""
    env: dict[str, Text] = {}
    """Environment variables, besides PATH and those of the base."""
    ports: tuple[Text, ...] = ()
    """Ports a container listens on, as `8080` or `53/udp`."""
    volumes: Strings = ()
    """Folders that a runtime keeps outside the container."""
    stop_signal: str = ""
    """The signal that ends a container, such as SIGTERM."""
    healthcheck: Healthcheck | None = None
    """How a runtime probes a container; as the base says where absent."""
    labels: dict[str, Text] = {}
    """Labels of the configuration."""
    annotations: dict[str, Text] = {}
    """Annotations of the manifests and the index."""
    binary: Annotated[dict[str, str], Meta(examples=[{"linux/amd64": "dist/tool"}])] = {}
    """A program that was built elsewhere: its file for each platform, as in `linux/arm64`."""
    binary_path: str = ""
    """Where the program goes; in `/usr/local/bin`, under the project's name, where absent."""
    files: tuple[ProjectFile, ...] = ()
    """Files and folders to add, in a layer of their own."""
    ignore: Strings = ()
    """Patterns of what never gets into the image, as in .dockerignore (`*.md` is of the project's
    folder, `**/*.md` of all below it), besides those of .imagistignore, else .dockerignore, and
    what no image is meant to have: version control, caches, virtual environments, OCI layouts,
    .env and files known to hold credentials. `!**/.env` takes back."""
