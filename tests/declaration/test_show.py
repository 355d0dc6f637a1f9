"""`show config`."""

from __future__ import annotations

import pytest
import yaml

from imagist.declaration.include import load_declaration
from imagist.declaration.model import Contents, Declaration, Healthcheck
from imagist.declaration.show import redact, show_config


def test_an_empty_declaration_shows_nothing() -> None:
    assert show_config(Declaration()) == b"{}\n"


def test_our_own_keys_are_shown_too() -> None:
    shown = yaml.safe_load(
        show_config(
            Declaration(
                ports=("80",),
                labels={},
                healthcheck=Healthcheck(test=("CMD", "x"), retries=3),
                contents=Contents(platform_packages={"amd64": ("a",)}),
            )
        )
    )
    assert shown == {
        "contents": {"platform_packages": {"amd64": ["a"]}},
        "labels": {},
        "ports": ["80"],
        "healthcheck": {"test": ["CMD", "x"], "retries": 3},
    }


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://u:secret@h/x", "https://u:xxxxx@h/x"),
        ("@tag https://u:se@cret@h/x", "@tag https://u:xxxxx@h/x"),
        ("https://:secret@h", "https://:xxxxx@h"),
        ("https://u@h/x", "https://u@h/x"),
        ("https://h:80/x@y:z@w", "https://h:80/x@y:z@w"),
        ("./local", "./local"),
    ],
)
def test_passwords_are_not_shown(location: str, shown: str) -> None:
    assert redact(location) == shown
    written = show_config(
        Declaration(contents=Contents(build_repositories=(location,), keyring=(location,)))
    )
    contents = yaml.safe_load(written)["contents"]
    assert contents == {"build_repositories": [shown], "keyring": [shown]}


def test_what_is_shown_is_a_declaration_of_the_same_meaning() -> None:
    text = (
        "contents: {packages: [a], repositories: [https://x]}\nenvironment: {A: 1}\n"
        "paths: [{path: /a, type: directory}]\naccounts: {users: [{username: u, uid: 1}]}\n"
        "entrypoint: {type: service-bundle, services: {a: b}}\nlayering: {budget: 3}\n"
    )
    shown = show_config(load_declaration(lambda _: text.encode(), "f").declaration)
    assert show_config(load_declaration(lambda _: shown, "f").declaration) == shown
