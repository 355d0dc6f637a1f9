"""Finds the credentials for a repository where Docker, Podman and GitHub keep them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from imagist.registry import credentialhelper
from imagist.registry.credential import ANONYMOUS, Credential
from imagist.registry.dockerconfig import DockerConfig, Helper, read_config
from imagist.registry.environment import RegistryEnvironment
from imagist.registry.keys import normalize
from imagist.registry.singleflight import SingleFlight

_GITHUB: Final = "ghcr.io"


class Keychain:
    """Credentials by registry and repository; safe for many threads.

    The first place that knows the registry gives them:

    1. the variable DOCKER_AUTH_CONFIG;
    2. Docker's file: `config.json` in DOCKER_CONFIG, else in ~/.docker;
    3. Podman's files: REGISTRY_AUTH_FILE, then `containers/auth.json` in XDG_RUNTIME_DIR
       (/run/containers/UID/auth.json where there is none), then in XDG_CONFIG_HOME or ~/.config;
    4. for ghcr.io, GITHUB_TOKEN.

    Within a file, `credHelpers` goes before `credsStore` and that before `auths`, and the longest
    namespace that the repository lies in goes first.
    """

    def __init__(
        self, environment: RegistryEnvironment, *, patience: float = credentialhelper.PATIENCE
    ) -> None:
        """Nothing is read before it is needed; `patience` is for helpers, in seconds."""
        self._environment = environment
        self._patience = patience
        self._files: dict[str, DockerConfig | None] = {}
        self._answers: dict[Helper, Credential | None] = {}
        self._asking: SingleFlight[Credential | None] = SingleFlight()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Keychain(***)"

    def find(self, registry: str, repository: str = "") -> Credential:
        """The credentials for a repository, or for all of a registry; anonymous without any.

        Args:
            registry: `host[:port]`; Docker Hub by any of its names.
            repository: `team/app`.

        Raises:
            InputError: a file is damaged, or a helper fails.
            NotFound: a helper that a file names is not installed.
        """
        for config in self._configs():
            helper = config.helper(registry, repository)
            found = self._ask(helper, config.name) if helper else None
            credential = found or config.find(registry, repository)
            if not credential.is_anonymous:
                return credential
        token = self._environment.github_token
        if token and normalize(registry) == _GITHUB:
            user = self._environment.github_actor or "unset"
            return Credential(user, token, origin="the variable GITHUB_TOKEN")
        return ANONYMOUS

    def _configs(self) -> Iterator[DockerConfig]:
        environment = self._environment
        if environment.docker_auth_config:
            raw = environment.docker_auth_config.encode(errors="surrogateescape")
            yield DockerConfig("the variable DOCKER_AUTH_CONFIG", raw)
        for path in filter(None, (environment.docker_config, *environment.auth_files)):
            config = self._read(path)
            if config is not None:
                yield config

    def _read(self, path: str) -> DockerConfig | None:
        with self._lock:
            if path not in self._files:
                self._files[path] = read_config(path)
            return self._files[path]

    def _ask(self, helper: Helper, origin: str) -> Credential | None:
        """What a helper knows; it is asked once about each server, since that takes its time."""

        def ask() -> Credential | None:
            if helper not in self._answers:
                path, patience = self._environment.path, self._patience
                self._answers[helper] = credentialhelper.ask(
                    helper, path, origin, patience=patience
                )
            return self._answers[helper]

        return self._asking.do(helper, ask)
