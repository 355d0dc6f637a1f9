"""Entry points that become scripts: which there are, and the text of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SECTIONS: Final = frozenset({"console_scripts", "gui_scripts"})
"""On Linux both are the same."""
_REFERENCE: Final = re.compile(
    r"(?P<module>\w+(?:\.\w+)*)\s*:\s*(?P<function>\w+(?:\.\w+)*)\s*(?:\[[^\]]*\]\s*)?"
)
_WRAPPER: Final = """\
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({function}())
"""


def find_scripts(text: str) -> Iterator[tuple[str, str]]:
    """Name and object reference of every script in an `entry_points.txt`.

    Names keep their case, and only `=` ends them (entry points specification, "File format").
    """
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif line and line[0] not in "#;" and section in _SECTIONS:
            name, _, reference = line.partition("=")
            yield name.strip(), reference.strip()


def write_wrapper(shebang: bytes, reference: str) -> bytes:
    """The script that calls a function, such as `module:object.function [extra]`.

    Raises:
        ValueError: the reference names no function of a module.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(reference)
    module, function = match["module"], match["function"]
    if not all(part.isidentifier() for part in f"{module}.{function}".split(".")):
        raise ValueError(reference)
    text = _WRAPPER.format(module=module, name=function.partition(".")[0], function=function)
    return shebang + b"\n" + text.encode()
