"""Commands that speak with a registry about credentials and names."""

from __future__ import annotations

from imagist.cli.command import Argument, Command, Flag
from imagist.cli.verbs.flags import INSECURE

_REGISTRY = Argument("registry", "its host[:port] (default: docker.io)", optional=True)

REGISTRY = (
    Command(
        "login",
        "log in to a registry",
        "imagist.cli.login",
        (_REGISTRY,),
        (
            Flag(
                "user", "who logs in", short="u", metavar="USER", twin=False, aliases=("username",)
            ),
            Flag(
                "password",
                "the password or access token; see --password-stdin",
                short="p",
                metavar="PASSWORD",
                twin=False,
            ),
            Flag("password-stdin", "read the password from stdin", kind="switch", twin=False),
            INSECURE,
        ),
        "The registry is asked whether it takes the credentials. Then they are kept as Docker "
        "does: in the helper that credHelpers or credsStore of its config.json name (in "
        "DOCKER_CONFIG, else in ~/.docker), else in that file. Podman reads it, too, after its "
        "own auth.json; imagist reads Podman's after Docker's.",
        (
            ("imagist login ghcr.io", "ask for user and password"),
            ("imagist login ghcr.io -u me --password-stdin < token", "in a script"),
        ),
    ),
    Command(
        "logout",
        "log out of a registry",
        "imagist.cli.logout",
        (_REGISTRY,),
        (),
        "Credentials are removed from Docker's config.json and from the helper that it names. "
        "What else knows some, such as Podman's auth.json, is told.",
    ),
)
