"""The names under which registries stand in files of credentials, and which of them fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from imagist.oci.reference import DOCKER_HUB

T = TypeVar("T")
HUB_KEY: Final = "https://index.docker.io/v1/"
"""What Docker Hub is called in files and to helpers, since before registries had names."""
_HUB: Final = frozenset({"index.docker.io", "registry-1.docker.io", DOCKER_HUB})
_SCHEMES: Final = ("https://", "http://")


def key_of(registry: str) -> str:
    """The key that Docker writes for a registry."""
    return HUB_KEY if normalize(registry) == DOCKER_HUB else registry


def normalize(key: str) -> str:
    """The registry and namespace that a key means: `host[:port][/namespace]`."""
    bare = key.strip()
    for scheme in _SCHEMES:
        if bare.lower().startswith(scheme):
            bare = bare[len(scheme) :].rstrip("/")
            bare = bare.removesuffix("/v1").removesuffix("/v2")
    host, slash, namespace = bare.rstrip("/").partition("/")
    host = host.lower()
    return (DOCKER_HUB if host in _HUB else host) + slash + namespace


def find_key(
    mapping: Mapping[str, T], registry: str, repository: str = ""
) -> Iterator[tuple[str, T]]:
    """The entries that hold for a repository with their keys, the longest namespace first.

    `host/team/app` goes before `host/team` and that before `host`, as Podman has it; of two keys
    that mean the same, the one that Docker would write goes first.
    """
    parts = [normalize(registry), *filter(None, repository.split("/"))]
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        fitting = [key for key in mapping if normalize(key) == name]
        for key in sorted(fitting, key=lambda key: key != key_of(name)):
            yield key, mapping[key]
