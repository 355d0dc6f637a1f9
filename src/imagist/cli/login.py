"""`imagist login`: credentials for a registry are tried, and kept where Docker keeps them."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.messages import Messages
from imagist.cli.registries import open_transport
from imagist.errors import RequestError
from imagist.registry.authorize import Authorizer
from imagist.registry.credential import Credential, Offered
from imagist.registry.environment import read_registry_environment
from imagist.registry.login import check, keep, parse_registry
from imagist.registry.session import Session


def run(values: argparse.Namespace) -> None:
    """Log in, and print where the credentials are kept."""
    messages = Messages(values)
    registry = parse_registry(values.registry or "docker.io")
    credential = _read_credential(values, registry, messages)
    transport = open_transport(values, messages)
    authorizer = Authorizer(transport, Offered(credential))
    session = Session(
        registry, transport, authorizer, insecure=values.insecure, notice=messages.warn
    )
    if not check(session, authorizer, credential):
        messages.warn(f"{registry} asks for no credentials: they are kept, but were not tried")
    kept = keep(registry, credential, read_registry_environment())
    if not kept.is_encrypted:
        messages.warn(
            f"the password is kept in {kept.place}, which is not encrypted; a credential helper, "
            "named there as credsStore, keeps it safe"
        )
    if values.json:
        print_json({"registry": registry, "user": credential.user, "kept": kept.place})
    else:
        sys.stdout.write(f"{credential.user} is logged in at {registry}, by {kept.place}\n")


def _read_credential(values: argparse.Namespace, registry: str, messages: Messages) -> Credential:
    """The user and password: of the flags, of stdin, or of who sits at the terminal.

    Raises:
        RequestError: they are not all there, and nobody can be asked.
    """
    if values.password_stdin:
        if values.password or not values.user:
            raise RequestError(
                "--password-stdin goes with --user, and without --password",
                help=f"write `imagist login {registry} -u USER --password-stdin < FILE`",
            )
        # All of it: the keys of some clouds have many lines.
        given = sys.stdin.buffer.read().decode(errors="surrogateescape")
        password = given.removesuffix("\n").removesuffix("\r")
        return _complete(values.user, password)
    if values.password:
        messages.warn(
            "--password shows the password to everybody on this machine; --password-stdin does not"
        )
    if not (values.user and values.password) and not sys.stdin.isatty():
        raise RequestError(
            "there is no terminal to ask for user and password",
            help=f"write `imagist login {registry} -u USER --password-stdin < FILE`",
        )
    user = values.user or _ask(f"user at {registry}: ")
    password = values.password
    if user and not password:
        import getpass

        try:
            password = getpass.getpass(f"password of {user} at {registry}: ")
        except EOFError:  # Ctrl-D
            password = ""
    return _complete(user, password)


def _complete(user: str, password: str) -> Credential:
    if not user or not password:
        raise RequestError(f"the {'password' if user else 'user'} is empty")
    if ":" in user:
        raise RequestError("a user's name cannot have a colon (RFC 7617)")
    return Credential(user, password, origin="the command line")


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()
