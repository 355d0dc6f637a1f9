from __future__ import annotations

from typing import Any

import pytest

from imagist.errors import RequestError
from imagist.oci.reference import parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/me/app", "docker.io/me/app:latest", "me/app:latest"),
        ("localhost/app:1", "localhost/app:1", "localhost/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("example.org/a/b__c:V1.0_x", "example.org/a/b__c:V1.0_x", "example.org/a/b__c:V1.0_x"),
        (f"example.org/a@{DIGEST}", f"example.org/a@{DIGEST}", f"example.org/a@{DIGEST}"),
        (f"a:1@{DIGEST}", f"docker.io/library/a:1@{DIGEST}", f"a:1@{DIGEST}"),
    ],
)
def test_names_get_the_usual_defaults(text: Any, full: Any, familiar: Any) -> None:
    reference = parse_reference(text)
    assert str(reference) == full
    assert reference.familiar == familiar
    assert parse_reference(full) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "A",
        "a//b",
        "a:",
        "a:" + "x" * 129,
        "a b",
        "a@sha256:12",
        "ex ample.org/a",
        "a/-b",
    ],
)
def test_what_is_no_name_is_refused(text: Any) -> None:
    with pytest.raises(RequestError):
        parse_reference(text)
