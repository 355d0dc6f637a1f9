"""YAML out: what is written is read back alike."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from imagist.text.yamlwrite import format_yaml


def test_the_style() -> None:
    value: dict[str, Any] = {
        "contents": {"packages": ["a", "b=1"], "none": [], "empty": {}},
        "paths": [{"path": "/a", "mode": 493, "ok": True}, {"path": "/b"}],
        "cmd": "/bin/sh -l",
        "text": "a: b",
        "number": "10",
        "pem": "-----BEGIN X-----\nabc\n-----END X-----\n",
    }
    assert format_yaml(value).decode() == (
        "contents:\n  packages:\n    - a\n    - b=1\n  none: []\n  empty: {}\n"
        "paths:\n  - path: /a\n    mode: 493\n    ok: true\n  - path: /b\n"
        'cmd: /bin/sh -l\ntext: "a: b"\nnumber: "10"\n'
        "pem: |\n  -----BEGIN X-----\n  abc\n  -----END X-----\n"
    )
    assert format_yaml({}) == b"{}\n"


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    "ab:#- \n\t'\"&*!|>%@`{}[],0.~"
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_values_are_read_back(value: dict[str, Any]) -> None:
    assert yaml.safe_load(format_yaml(value)) == value
