"""Poetry's constraints, and Poetry itself as the oracle of what they mean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imagist.packages.wheel.constraint import read_constraint

VERSIONS = [
    "0.0.3", "0.0.4", "0.2.1", "0.3.0", "2.7.18", "3.0.0", "3.6.0", "3.9.7", "3.10.1",
    "3.11.0", "3.11.2", "3.11.9", "3.12.0", "3.12.1", "3.13.0", "3.14.0", "4.0.0",
]  # fmt: skip
CONSTRAINTS = [
    "*", "^3.11", "^3.11.4", "^3", "^0.2", "^0.0.3", "^0", "^3.12rc1", "^ 3.11", " ^3.11 ",
    "~3.11", "~3.11.4", "~3", "~ 3.11", "~=3.11", "~=3.11.2",
    "3.11", "v3.11.2", "=3.11.2", "==3.11.2", "3.11.*", "3.*", "3.*.*", "==3.11.*", "!=3.12.*",
    ">=3.6.*", ">3.10", "<=3.11", ">=3.9,<4.0", ">=3.9 <4.0", ">= 3.9, < 4", "^3.11 ,<3.13",
    ">=3.9,!=3.10.*", "^3.8,!=3.9.7", "<3.9,>=3.11", ">=3.11,<4.0,",
    "^2.7 || ^3.11", "~3.10 | ~3.12", ">=3.8,<3.13 || >3.13,<4",
    "", "abc", "3.x", "3.11 - 3.12", "^3.11 ||", "^", "~*", "^^3",
]  # fmt: skip
ASK = """\
import json, sys
from poetry.core.constraints.version import Version, parse_constraint
from poetry.core.constraints.version.exceptions import ParseConstraintError
answers = {}
constraints, versions = json.load(sys.stdin)
for text in constraints:
    try:
        constraint = parse_constraint(text)
    except ParseConstraintError:
        answers[text] = None
    else:
        answers[text] = [v for v in versions if constraint.allows(Version.parse(v))]
print(json.dumps(answers))
"""


def allowed(text: str) -> list[str] | None:
    """The versions that a constraint allows; None where it is none."""
    try:
        found = read_constraint(text)
    except ValueError:
        return None
    return [v for v in VERSIONS if any(each.contains(v, prereleases=True) for each in found)]


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("^3.12", ["3.12.0", "3.12.1", "3.13.0", "3.14.0"]),
        ("~3.12", ["3.12.0", "3.12.1"]),
        ("3.11", ["3.11.0"]),
        ("3.11.* || ^2.7", ["2.7.18", "3.11.0", "3.11.2", "3.11.9"]),
        ("3.11 to 3.12", None),
    ],
)
def test_what_a_constraint_allows(text: str, versions: list[str] | None) -> None:
    assert allowed(text) == versions


def test_poetry_allows_the_same(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tmp_path)]
    done = subprocess.run([*install, "poetry-core"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a package index: {done.stderr[-200:]}")
    answer = subprocess.run(
        [sys.executable, "-c", ASK], input=json.dumps([CONSTRAINTS, VERSIONS]), text=True,
        capture_output=True, check=True, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert {text: allowed(text) for text in CONSTRAINTS} == json.loads(answer.stdout)
