"""Logging in to a registry and out of it: where Docker keeps credentials, they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import InputError, NetworkError, RequestError
from imagist.net.auth import format_basic
from imagist.net.transport import Response
from imagist.net.url import Userinfo
from imagist.oci.reference import parse_reference
from imagist.registry import credentialhelper
from imagist.registry.authorize import Authorizer, Unauthorized
from imagist.registry.credential import Credential
from imagist.registry.dockerconfig import DockerConfig, read_config
from imagist.registry.dockeredit import change_file, encode_entry, with_entry, without_entries
from imagist.registry.environment import RegistryEnvironment
from imagist.registry.keys import key_of, normalize
from imagist.registry.refusal import no_registry
from imagist.registry.session import Session

_MOST: Final = 1 << 16
"""Bytes of an answer that says little which are read."""


class Kept(msgspec.Struct, frozen=True):
    """Where credentials are."""

    place: str
    """A file, or the program of a helper."""
    is_encrypted: bool
    """Whether a helper sees to that; a file is plain."""


def parse_registry(text: str) -> str:
    """Read `host[:port]`; a URL will do as well.

    Raises:
        RequestError: it is no such name.
    """
    registry = normalize(text)
    try:
        if parse_reference(f"{registry}/any").registry == registry and "/" not in registry:
            return registry
    except RequestError:
        pass
    raise RequestError(
        f"`{text}` is not the name of a registry",
        help="write its host, which has a dot or a port or is localhost: ghcr.io",
    )


def check(session: Session, authorizer: Authorizer, credential: Credential) -> bool:
    """Try credentials.

    Args:
        session: speaks with the registry.
        authorizer: the one of the session, which offers them.
        credential: a user and a password.

    Returns:
        Whether the registry asked for them.

    Raises:
        Unauthorized: it refuses them.
        NetworkError: it cannot be reached, or is no registry.
    """
    user = Userinfo(credential.user, credential.password)
    # A registry that lets anybody in here may still look at credentials that it did not ask for.
    unasked = {"Authorization": format_basic(user)}
    try:
        with session.send("GET", "/v2/", scopes=()) as response:
            status = response.status
            if status == 200 and not _is_registrys(response):
                raise no_registry(session.registry, "/v2/")
        asked = authorizer.header(session.url, ()) is not None
        if status == 200 and not asked:
            session.send("GET", "/v2/", scopes=(), headers=unasked).close()
            asked = authorizer.header(session.url, ()) is not None
    except Unauthorized:
        raise Unauthorized(
            f"{session.registry} refuses the user {credential.user} with this password",
            help="check both; registries with two-factor authentication want an access token "
            "in the place of a password",
        ) from None
    if status != 200:
        raise NetworkError(
            f"{session.url}/v2/ answers {status}",
            help="check the name: this seems to be no registry",
        )
    return asked


def _is_registrys(response: Response) -> bool:
    """Whether a registry may have answered so; some say nothing, and not all send the header."""
    if "docker-distribution-api-version" in response.headers:
        return True
    raw = response.read(_MOST)
    try:
        msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def keep(registry: str, credential: Credential, environment: RegistryEnvironment) -> Kept:
    """Keep credentials: in the helper that Docker's file names for the registry, else in the file.

    Raises:
        InputError: the file is damaged or cannot be written, or the helper fails.
        NotFound: the helper is not installed.
    """
    path = _docker_config(environment)
    key = key_of(registry)
    config = read_config(str(path)) or DockerConfig(str(path), b"")
    helper = config.helper(registry)
    if helper is None:
        change_file(path, lambda raw: with_entry(raw, key, encode_entry(credential)))
        return Kept(str(path), is_encrypted=False)
    credentialhelper.store(helper, credential, environment.path, str(path))
    # As Docker does: what was in the file must not outlive the change, and tools list these keys.
    change_file(path, lambda raw: with_entry(raw, key, encode_entry(None)))
    return Kept(credentialhelper.program_of(helper), is_encrypted=True)


def forget(registry: str, environment: RegistryEnvironment) -> list[Kept]:
    """Remove credentials from Docker's file and from the helper that it names for the registry.

    Returns:
        Where there were some.

    Raises:
        InputError: the file is damaged or cannot be written, or the helper fails.
        NotFound: the helper is not installed.
    """
    path = _docker_config(environment)
    config = read_config(str(path))
    if config is None:
        return []
    found = []
    helper = config.helper(registry)
    if helper and credentialhelper.ask(helper, environment.path, str(path)) is not None:
        credentialhelper.erase(helper, environment.path, str(path))
        found.append(Kept(credentialhelper.program_of(helper), is_encrypted=True))
    keys = config.keys(registry)
    if keys:
        if not config.find(registry).is_anonymous:
            found.append(Kept(str(path), is_encrypted=False))
        change_file(path, lambda raw: without_entries(raw, keys))
    return found


def _docker_config(environment: RegistryEnvironment) -> Path:
    if not environment.docker_config:
        raise InputError(
            "there is no place to keep credentials in: neither DOCKER_CONFIG nor HOME is set",
            help="set one of them to a folder",
        )
    return Path(environment.docker_config)
