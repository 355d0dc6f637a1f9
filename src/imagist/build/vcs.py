"""Where a declaration is kept: `url@revision`, read from git's own files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_REVISION: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SECTION: Final = re.compile(r'\[remote "origin"\](.*?)(?:\n\[|\Z)', re.DOTALL)
_URL: Final = re.compile(r"^\s*url\s*=\s*(\S+)", re.MULTILINE)


def find_vcs_url(start: Path) -> str:
    """`url@revision` of the git checkout around a folder; empty where there is none.

    Credentials in the URL are left out.
    """
    for folder in (start, *start.parents):
        git = folder / ".git"
        if git.is_dir():
            url, revision = _origin(git), _head(git)
            return f"{url}@{revision}" if url and revision else ""
    return ""


def split_vcs_url(text: str) -> tuple[str, str]:
    """The URL and the revision of `url@revision`; the revision may be empty."""
    url, at, revision = text.rpartition("@")
    if not at or "/" in revision or ":" in revision:
        return text, ""
    return url, revision


def _origin(git: Path) -> str:
    section = _SECTION.search(_read(git / "config"))
    found = _URL.search(section[1]) if section else None
    if found is None:
        return ""
    url = found[1].strip('"')  # git quotes what would be a comment
    scheme, separator, rest = url.partition("://")
    # Up to its last `@`, whatever a password may hold.
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else url


def _head(git: Path) -> str:
    head = _read(git / "HEAD").strip()
    if head.startswith("ref: "):
        ref = head.removeprefix("ref: ")
        head = _read(git / ref).strip() or _packed(git, ref)
    return head if _REVISION.fullmatch(head) else ""


def _packed(git: Path, ref: str) -> str:
    for line in _read(git / "packed-refs").splitlines():
        revision, _, name = line.partition(" ")
        if name == ref:
            return revision
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
