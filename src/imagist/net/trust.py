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


def load_trust(environment: Environment, *, verify: bool) -> SSLContext:
    """How TLS is spoken: which certificate authorities servers are checked against, if any.

    Raises:
        InputError: the certificate authorities cannot be read.
    """
    import ssl  # noqa: PLC0415

    if not verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
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
