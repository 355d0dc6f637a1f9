"""Of a build backend that failed the reason comes first, with its place in the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagist.errors import Span
from imagist.lastmile.failure import Failure, read_failure

SETUP = "import os\ndef version():\n    return os.environ['RELEASE']\nversion()\n"
HOOKS = """\
  File "/v/site-packages/pyproject_hooks/_in_process/_in_process.py", line 381, in main
    json_out["return_val"] = hook(**hook_input["kwargs"])
                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/e/lib/python3.11/site-packages/setuptools/build_meta.py", line 317, in run_setup
    exec(code, locals())
  [Previous line repeated 3 more times]
"""
HEAD = "Traceback (most recent call last):\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "setup.py").write_text(SETUP)
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "build.py").write_text("\tif x:\n")
    return tmp_path


def read(project: Path, said: str) -> Failure:
    return read_failure(said.replace("PROJECT", "/tmp/copy"), Path("/tmp/copy"), project)


def test_a_setup_py_that_raises(project: Path) -> None:
    frames = f'{HOOKS}  File "<string>", line 4, in <module>\n  File "<string>", line 3, in f\n'
    failure = read(project, f"running\nit\n{HEAD}{frames}KeyError: 'RELEASE'\n\n    more\n")
    assert failure == Failure(
        "KeyError: 'RELEASE'\n\n    more",
        Span(str(project / "setup.py"), 3, 5, 28, "    return os.environ['RELEASE']"),
        "running\nit",
    )
    assert str(failure).startswith("KeyError: 'RELEASE'\n")
    assert str(failure).endswith("\nbefore that it said:\nrunning\nit")


def test_exceptions_that_led_to_the_last(project: Path) -> None:
    """Their reasons are told; the place is of the one that ended it."""
    first = f'{HEAD}{HOOKS}  File "<string>", line 1, in f\nKeyError: 1\n'
    between = "\nDuring handling of the above exception, another exception occurred:\n\n"
    plugin = '  File "PROJECT/hooks/build.py", line 1, in g\n    if x:\nOSError: in PROJECT/x\n'
    failure = read(project, f"{first}{between}{HEAD}{HOOKS}{plugin}")
    assert failure.reason == f"OSError: in {project}/x"
    assert failure.before == "KeyError: 1"
    assert failure.where == Span(f"{project}/hooks/build.py", 1, 2, 5, "\tif x:")
    alone = read(project, f"{first}{between}{HEAD}{HOOKS}OSError: x\n")
    assert (alone.reason, alone.where) == ("OSError: x", None)


def test_a_file_that_is_no_python(project: Path) -> None:
    shown = '  File "PROJECT/setup.py", line 2\n    def version():\n    ^\n'
    failure = read(project, f"{HEAD}{HOOKS}{shown}SyntaxError: '(' was never closed\n")
    assert failure.reason == "SyntaxError: '(' was never closed"
    assert isinstance(failure.where, Span)
    assert (failure.where.line, failure.before) == (2, "")


@pytest.mark.parametrize("file", ["/etc/hostname", "PROJECT/venv/site-packages/x.py", "absent.py"])
def test_places_of_others_are_not_told(project: Path, file: str) -> None:
    failure = read(project, f'{HEAD}  File "{file}", line 1, in x\n    y\nOSError: z')
    assert (failure.reason, failure.where) == ("OSError: z", None)


def test_what_is_no_traceback_is_told_as_it_is(project: Path) -> None:
    assert read(project, " cc failed\n") == Failure("cc failed")
    assert len(read(project, "x" * 9999).reason) == 4000
    assert str(read(project, "")) == ""
