"""What pip is configured to use, in variables of uv, which reads nothing of pip's.

Variables of a child process are seen by its user alone; its arguments by everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagist.net.url import is_remote
from imagist.packages.wheel.indexes import Configuration


def variables_for_uv(configuration: Configuration, known: Mapping[str, str]) -> dict[str, str]:
    """What to add to uv's environment, so that it asks whom a build would ask.

    Where uv is told of indexes in its own words, those count. Extra indexes of pip are asked
    before the main one, as uv has it: else somebody could publish the name of a private package.

    Args:
        configuration: of both tools.
        known: the environment that uv gets.

    Raises:
        RequestError: a file of pip is malformed.
    """
    pip, added = configuration.pip, {}
    if not configuration.uv.names_index:
        added = {
            "UV_DEFAULT_INDEX": pip.index,
            "UV_INDEX": " ".join(pip.after),
            "UV_NO_INDEX": "1" if pip.no_index else "",
        }
    if pip.find_links:
        added["UV_FIND_LINKS"] = ",".join(
            [*filter(None, [known.get("UV_FIND_LINKS", "")]), *map(_absolute, pip.find_links)]
        )
    added["SSL_CERT_FILE"] = pip.ca_file and _absolute(pip.ca_file)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        added[name] = added[name.lower()] = pip.proxy
    return {name: value for name, value in added.items() if value}


def _absolute(place: str) -> str:
    """A place as it is from any folder."""
    return place if is_remote(place) or place.startswith("file:") else str(Path(place).absolute())
