"""`imagist logout`: the credentials for a registry are removed from where Docker keeps them."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.messages import Messages
from imagist.registry.environment import read_registry_environment
from imagist.registry.keychain import Keychain
from imagist.registry.login import forget, parse_registry


def run(values: argparse.Namespace) -> None:
    """Log out, and print where credentials were removed; warn of those that are left."""
    registry = parse_registry(values.registry or "docker.io")
    environment = read_registry_environment()
    places = [kept.place for kept in forget(registry, environment)]
    left = Keychain(environment).find(registry).origin
    if left:
        Messages(values).warn(f"there are still credentials for {registry}, in {left}")
    if values.json:
        print_json({"registry": registry, "removed": places})
    elif places:
        for place in places:
            sys.stdout.write(f"logged out of {registry}, by {place}\n")
    else:
        sys.stdout.write(f"nobody was logged in at {registry}\n")
