"""What the environment says about credentials for registries, read in this one place."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec


class RegistryEnvironment(msgspec.Struct, frozen=True):
    """Files and variables that may hold credentials; empty where there are none."""

    docker_config: str = ""
    """Docker's configuration file: in DOCKER_CONFIG, else ~/.docker."""
    auth_files: tuple[str, ...] = ()
    """The files in which Podman and its kin look, in their order."""
    docker_auth_config: str = ""
    """The content of such a file, as CI systems hand it over."""
    github_token: str = ""
    github_actor: str = ""
    path: str = ""
    """Where credential helpers are looked up."""

    def __repr__(self) -> str:
        return "RegistryEnvironment(***)"

    __str__ = __repr__


def read_registry_environment(variables: Mapping[str, str] | None = None) -> RegistryEnvironment:
    """Read the environment of the process, or the one given."""
    get = (os.environ if variables is None else variables).get
    home = get("HOME", "")
    docker = get("DOCKER_CONFIG", "") or (f"{home}/.docker" if home else "")
    configuration = get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    runtime = get("XDG_RUNTIME_DIR", "")
    candidates = (
        get("REGISTRY_AUTH_FILE", ""),
        f"{runtime}/containers/auth.json" if runtime else _runtime_file(),
        f"{configuration}/containers/auth.json" if configuration else "",
    )
    return RegistryEnvironment(
        docker_config=f"{docker}/config.json" if docker else "",
        auth_files=tuple(filter(None, candidates)),
        docker_auth_config=get("DOCKER_AUTH_CONFIG", ""),
        github_token=get("GITHUB_TOKEN", ""),
        github_actor=get("GITHUB_ACTOR", ""),
        path=get("PATH", os.defpath),
    )


def _runtime_file() -> str:
    """Where Podman keeps what lasts until the machine is shut down, if no session has a folder."""
    return f"/run/containers/{os.getuid()}/auth.json"
