"""Which repository of which registry holds which blobs, as far as this process has seen."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Known:
    """What is known of who holds what; safe for many threads, and forgotten with the process."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._holders: dict[tuple[str, str], set[str]] = {}
        self._lock = threading.Lock()

    def note(self, registry: str, repository: str, digests: Iterable[str]) -> None:
        """A repository was seen to hold these blobs.

        A manifest that a registry has proves what it names: registries take none without.
        """
        with self._lock:
            for digest in digests:
                self._holders.setdefault((registry, digest), set()).add(repository)

    def forget(self, registry: str, repository: str, digest: str) -> None:
        """A blob was deleted, or was not there after all."""
        with self._lock:
            self._holders.get((registry, digest), set()).discard(repository)

    def holds(self, registry: str, repository: str, digest: str) -> bool:
        """Whether a repository is known to hold a blob."""
        return repository in self._holders.get((registry, digest), ())

    def find_other(self, registry: str, repository: str, digest: str) -> str:
        """Another repository of the same registry that holds a blob; empty where none is known."""
        with self._lock:
            others = self._holders.get((registry, digest), set()) - {repository}
            return min(others, default="")
