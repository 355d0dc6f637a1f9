"""Start-up is part of performance: what is not needed is not imported."""

from __future__ import annotations

import json
import subprocess
import sys

from support import ROOT

_LIST = (
    "import sys, json\n"
    "before = set(sys.modules)\n"
    "from imagist.cli.main import main\n"
    "code = main(sys.argv[1:])\n"
    "print(json.dumps([code, sorted(set(sys.modules) - before)]))\n"
)


def imported(*words: str) -> tuple[int, list[str], str]:
    """The exit code, the modules that a command line imports, and what it printed before."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{_LIST}", *words],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    *printed, last = done.stdout.splitlines()
    code, modules = json.loads(last)
    return code, modules, "\n".join(printed)


def rooms(modules: list[str]) -> set[str]:
    """What is not of the standard library."""
    return {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}


def test_the_version_imports_nothing_but_the_standard_library() -> None:
    code, modules, printed = imported("--version")
    assert code == 0
    assert printed.startswith("imagist ")
    assert rooms(modules) == {"imagist", "imagist.cli", "imagist.cli.main"}


def test_help_imports_neither_network_nor_database_nor_yaml() -> None:
    _, modules, printed = imported("--help")
    assert "build" in printed
    heavy = {"yaml", "urllib3", "cryptography", "sqlite3", "isal", "deflate", "ssl", "asyncio"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in modules)


def test_registries_are_asked_without_a_library_for_http() -> None:
    _, modules, _ = imported("push", "image", "127.0.0.1:1/app")
    assert {"http.client", "urllib3", "ssl", "sqlite3", "concurrent.futures"}.isdisjoint(modules)


def test_the_schema_imports_no_network() -> None:
    _, modules, _ = imported("schema")
    assert {"urllib3", "cryptography", "sqlite3"}.isdisjoint(modules)
