"""What a project is built on where it does not say: Debian's Python, by this machine's apt."""

from __future__ import annotations

from typing import Final

from imagist.declaration.include import LoadedDeclaration, load_declaration

NAME: Final = "the default base"
"""As messages call it."""
TEXT: Final = b"""\
contents:
  repositories: [deb]
  packages: [python3-minimal, libpython3-stdlib, libstdc++6, ca-certificates, tzdata]
  slim: [docs, man, locale]
  scripts: ignore  # of dpkg's alone is not all understood, and dpkg is not run here
accounts:
  users: [{username: nonroot, uid: 65532}]
  groups: [{groupname: nonroot, gid: 65532}]
  run-as: nonroot
archs: [amd64, arm64]
"""


def default_base() -> LoadedDeclaration:
    """Python with its standard library, certificates and time zones, run by nobody special.

    And what wheels for manylinux expect of any system, the libraries of C++ (PEP 600).
    """
    return load_declaration(lambda _: TEXT, NAME)
