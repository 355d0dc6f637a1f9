"""Distribution's own registry that demands tokens or passwords."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fixtures.registries import running
from fixtures.tokenserver import ISSUER, SERVICE, TokenServer

HTPASSWD = "alice:$2b$05$abcdefghijklmnopqrstuu12xgx35XzVimpLAARVsY.qvjwFuB00y\n"
"""The password is `wonder:land`."""


@contextlib.contextmanager
def demanding_tokens(folder: Path, tokens: TokenServer) -> Iterator[str]:
    """A registry that believes a token server: `127.0.0.1:port`."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / "bundle.pem"
    bundle.write_bytes(tokens.certificate)
    more = (
        f"auth: {{token: {{realm: '{tokens.url}', service: {SERVICE}, issuer: {ISSUER}, "
        f"rootcertbundle: {bundle}}}}}\n"
    )
    with running("registry", folder / "registry", more=more) as host:
        yield host


@contextlib.contextmanager
def demanding_passwords(folder: Path) -> Iterator[str]:
    """A registry that knows alice: `127.0.0.1:port`."""
    folder.mkdir(parents=True, exist_ok=True)
    passwords = folder / "htpasswd"
    passwords.write_text(HTPASSWD)
    more = f"auth: {{htpasswd: {{realm: test, path: {passwords}}}}}\n"
    with running("registry", folder / "registry", more=more) as host:
        yield host
