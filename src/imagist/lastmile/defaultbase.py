"""What a project is built on where it does not say: Debian's Python, by this machine's apt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from imagist.declaration.include import LoadedDeclaration, load_declaration

if TYPE_CHECKING:
    from imagist.packages.deb.machine import Machine

NAME: Final = "the default base"
"""As messages call it."""
_TEXT: Final = """\
contents:
  repositories: [deb]
  packages: [python3-minimal, libpython3-stdlib, libstdc++6, ca-certificates, tzdata]
  slim: [docs, man, locale]
  scripts: ignore
accounts:
  users: [{username: nonroot, uid: 65532}]
  groups: [{groupname: nonroot, gid: 65532}]
  run-as: nonroot
archs: [amd64, arm64]
"""
"""Scripts say nothing: of dpkg's alone is not all understood, and dpkg is not run here."""
_PYTHONS: Final = (
    {"bookworm": "3.11.2", "trixie": "3.13.5"},
    {"jammy": "3.10.12", "noble": "3.12.3"},
)
"""The Python of releases, by distribution."""


def default_base() -> LoadedDeclaration:
    """Python with its standard library, certificates and time zones, run by nobody special.

    And what wheels for manylinux expect of any system, the libraries of C++ (PEP 600).
    """
    return load_declaration(lambda _: _TEXT.encode(), NAME)


def declare_base(allows: Callable[[str], bool], machine: Machine) -> str:
    """A declaration like the default base's, of a release that has another Python.

    Args:
        allows: whether a version of Python will do.
        machine: whose sources give the mirror. Of which distribution those are is known of
            releases that are known; else the text has `SUITE` for the one to be found.
    """
    from imagist.packages.deb.machine import is_security  # noqa: PLC0415 - only errors need it

    known = next((each for each in _PYTHONS if machine.codename in each), {})
    suite = next((suite for suite, python in known.items() if allows(python)), "SUITE")
    lines = [f"deb {suite} main"]
    if any(is_security(source.suite) for source in machine.sources()):
        lines.append(f"deb {suite}-security main")
    return _TEXT.replace("[deb]", f"[{', '.join(lines)}]")
