"""Files of credentials and helpers, as tests need them."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

SECRET = "wonder:land"


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def entry(user: str, password: str = SECRET) -> dict[str, str]:
    return {"auth": auth(user, password)}


def write_config(path: Path, **members: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(members))
    return path


_HELPER = """#!{python}
import json, pathlib, sys
kept = pathlib.Path({kept!r})
known = json.loads(kept.read_text())
action, given = sys.argv[1], sys.stdin.read()
with open({log!r}, "a") as log:
    log.write(f"{{action}} {{given.splitlines()[0] if action != 'store' else ''}}\\n")
if action == "get":
    if given.strip() not in known:
        print("credentials not found in native keychain")
        sys.exit(1)
    user, secret = known[given.strip()]
    print(json.dumps({{"ServerURL": given.strip(), "Username": user, "Secret": secret}}))
elif action == "store":
    said = json.loads(given)
    known[said["ServerURL"]] = [said["Username"], said["Secret"]]
elif action == "erase":
    if known.pop(given.strip(), None) is None:
        print("credentials not found in native keychain")
        sys.exit(1)
kept.write_text(json.dumps(known))
"""


class HelperProgram:
    """A credential helper that keeps what it knows in a file."""

    def __init__(self, folder: Path, name: str, **known: tuple[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.kept = folder / f"{name}.json"
        self.log = folder / f"{name}.log"
        self.kept.write_text(json.dumps(known))
        script = _HELPER.format(python=sys.executable, kept=str(self.kept), log=str(self.log))
        write_program(folder, name, script)

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def known(self) -> dict[str, list[str]]:
        return dict(json.loads(self.kept.read_text()))


def write_program(folder: Path, name: str, script: str) -> None:
    """A helper that does as the script says."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(script)
    program.chmod(0o755)
