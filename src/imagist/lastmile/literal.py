"""Words of a command that look as if a shell would replace a variable, where there is no shell."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Final

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import Problem
from imagist.oci.manifest import RunConfig

_VARIABLE: Final = r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})"
_SHELLS: Final = frozenset(("sh", "ash", "bash", "dash", "ksh", "zsh", "busybox"))
_TEXT: Final = r"-\w*c"
"""The flag of a shell before the text that it runs."""


def tell_literals(
    loaded: LoadedProject, run: RunConfig, adding: Callable[[str], str] | None
) -> list[str]:
    """Warnings about variables that reach the program of a container as they are written.

    A word with spaces is the text of a program, whose dollars are its own.

    Args:
        loaded: the project.
        run: how the base is run.
        adding: says how a package is added to the base, where that can be said.
    """
    entrypoint, command = loaded.command()
    found = [
        (key, match[0])
        for key, words in (("entrypoint", entrypoint), ("command", command))
        for word in words
        if "$" in word and not re.search(r"\s", word)
        for match in re.finditer(_VARIABLE, word)
    ]
    if not found or _has_shell([*(entrypoint or run.entrypoint or ()), *command]):
        return []
    how = f" (Debian: {adding('dash')})" if adding else ""
    return [
        str(
            Problem(
                f"`{name}` stays as it is, for no shell is there to replace it: let the program "
                "read the variable itself, write its value, or begin with `sh -c`, and have all "
                f"else in one word, on a base that has a shell{how}",
                loaded.where(key),
            )
        )
        for key, name in found
    ]


def _has_shell(words: Sequence[str]) -> bool:
    """Whether a shell is given a text to run, be it by another program."""
    names = [posixpath.basename(word) for word in words]
    first = next((at for at, name in enumerate(names) if name in _SHELLS), len(names))
    return any(re.fullmatch(_TEXT, word) for word in words[first:])
