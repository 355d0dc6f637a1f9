"""Who is trusted over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagist.errors import InputError
from imagist.net.environment import Environment

if TYPE_CHECKING:
    from ssl import SSLContext

_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep their certificate authorities, for a Python that does not know."""


def find_certificates(environment: Environment, server: str) -> Path | None:
    """The folder with certificates for one server (`host` or `host:port`), as Docker has them."""
    folders = environment.certificate_folders if "/" not in server and ".." not in server else ()
    places = (Path(folder) / server for folder in folders)
    return next((place for place in places if place.is_dir()), None)


def load_trust(
    environment: Environment, *, verify: bool, certificates: Path | None = None
) -> SSLContext:
    """How TLS is spoken: which certificate authorities servers are checked against, if any.

    Args:
        environment: names the authorities.
        verify: whether servers are checked.
        certificates: a folder with more of them for one server (`*.crt`), and with certificates
            that tell it who we are (`*.cert`, each with its `*.key`).

    Raises:
        InputError: a certificate cannot be read.
    """
    context = _load_authorities(environment) if verify else _trusting()
    for file in sorted(certificates.iterdir()) if certificates is not None else ():
        try:
            if file.suffix == ".crt":
                context.load_verify_locations(file)
            elif file.suffix == ".cert":
                context.load_cert_chain(file, file.with_suffix(".key"))
        except OSError as error:  # SSLError is one
            raise InputError(f"{file} cannot be used as a certificate: {error}") from None
    return context


def _trusting() -> SSLContext:
    import ssl  # noqa: PLC0415

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _load_authorities(environment: Environment) -> SSLContext:
    import ssl  # noqa: PLC0415

    file, folder = environment.ca_file, environment.ca_folder
    if file and not Path(file).is_file():
        # Not NotFound: that would say that the server has no such document.
        raise InputError(
            f"there is no file {file}, which SSL_CERT_FILE or REQUESTS_CA_BUNDLE names"
        )
    try:
        context = ssl.create_default_context(cafile=file or None, capath=folder or None)
        places = ssl.get_default_verify_paths()
        if not file and not folder and not places.cafile and not places.capath:
            for place in filter(lambda path: Path(path).is_file(), _AUTHORITIES):
                context.load_verify_locations(place)
    except (ssl.SSLError, OSError) as error:
        raise InputError(f"the certificate authorities cannot be read: {error}") from None
    return context
