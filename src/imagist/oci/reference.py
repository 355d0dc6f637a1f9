"""Names of images: `registry/repository:tag@digest`, with the defaults that Docker made usual."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.errors import RequestError

REMOTE: Final = "docker://"
"""In front of a name that means an image in a registry, whatever it looks like."""
DOCKER_HUB: Final = "docker.io"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_REGISTRY: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"

_HOST: Final = r"[A-Za-z0-9][A-Za-z0-9._:@-]*|\[[0-9a-fA-F:]+\](?::[0-9]+)?"
_TAGGED: Final = r":[A-Za-z0-9_][A-Za-z0-9._-]*\Z"
_SUFFIXES: Final = (".tar", ".oci")


class Reference(msgspec.Struct, frozen=True):
    """Where an image is: a registry, a repository there, and a tag or digest or both."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The shortest name that means the same to Docker: `alpine:3.20`."""
        return str(self).removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")


def parse_reference(text: str) -> Reference:
    """Read a name (distribution-spec, "Pulling manifests").

    The first part is a registry if it has a dot or a colon or is `localhost`; otherwise the
    registry is docker.io, and a repository of one part lies in `library/`. Without a tag and a
    digest the tag is `latest`.

    Raises:
        RequestError: the text is not such a name.
    """
    rest, at, digest = text.partition("@")
    first, _, remaining = rest.partition("/")
    registry = DOCKER_HUB
    if names_registry(rest):
        registry, rest = first, remaining
    repository, colon, tag = rest.partition(":")
    if registry in {DOCKER_HUB, "index.docker.io"}:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if not re.fullmatch(_REGISTRY, registry):
        raise _refuse(text, f"`{registry}` is not a host with an optional port")
    if not re.fullmatch(_REPOSITORY, repository) or len(repository) > 255:
        raise _refuse(text, "a repository is made of lower-case letters, digits and `._-/`")
    if colon and not is_tag(tag):
        raise _refuse(text, "a tag has at most 128 letters, digits and `._-`")
    if at:
        digest = Digest(digest)
    return Reference(registry, repository, tag or ("" if at else "latest"), digest)


def is_remote_name(name: str) -> bool:
    """Whether a name that is no path here means an image in a registry, by how it looks.

    `docker://` says so; else it must have a tag, a digest, or a host in front. So a path that is
    misspelt is not asked for at Docker's registry.
    """
    if name.startswith(REMOTE):
        return True
    first, _, rest = name.partition("/")
    if not re.fullmatch(_HOST, first) or rest.endswith(_SUFFIXES):
        return False
    return names_registry(name) or "@sha" in name or bool(re.search(_TAGGED, name))


def names_registry(name: str) -> bool:
    """Whether the first part of a name is a registry's host, and not a part of a repository."""
    first, slash, _ = name.partition("/")
    return bool(slash) and (first == "localhost" or "." in first or ":" in first)


def _refuse(text: str, why: str) -> RequestError:
    return RequestError(f"`{text}` is not the name of an image: {why}")


def is_tag(text: str) -> bool:
    """Whether a tag may be called so (distribution-spec, "Pulling manifests")."""
    return re.fullmatch(_TAG, text) is not None
