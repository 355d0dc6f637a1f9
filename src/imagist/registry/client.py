"""Registries: what a process speaks with, and what it knows of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from imagist.net.retry import Waiter
from imagist.net.transport import Transport
from imagist.oci.reference import Reference
from imagist.registry.known import Known
from imagist.registry.repository import Repository
from imagist.registry.scope import Anonymous, Authorization
from imagist.registry.session import Session
from imagist.store.parallel import Brake, each

T = TypeVar("T")
R = TypeVar("R")


class Registries:
    """All registries that a process speaks with, and what it knows of them; thread-safe."""

    def __init__(
        self,
        transport: Transport,
        authorization: Authorization = Anonymous(),  # noqa: B008 - it has no state
        *,
        insecure: bool = False,
        jobs: int = 8,
        notice: Callable[[str], object] = lambda _: None,
        waiter: Waiter | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            transport: makes the requests; an anonymous one, which brings no credentials.
            authorization: knows who asks.
            insecure: whether plain http will do where https does not answer.
            jobs: requests at a time.
            notice: told what registries warn of.
            waiter: waits before what broke is tried again.
        """
        self.jobs = jobs
        self.known = Known()
        self.waiter = waiter or Waiter()
        self._transport = transport
        self._authorization = authorization
        self._insecure = insecure
        self._notice = notice
        self._sessions: dict[str, Session] = {}
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._lock = threading.Lock()

    def session(self, registry: str) -> Session:
        """Requests to one registry."""
        with self._lock:
            session = self._sessions.get(registry)
            if session is None:
                session = self._sessions[registry] = Session(
                    registry,
                    self._transport,
                    self._authorization,
                    insecure=self._insecure,
                    notice=self._notice,
                )
            return session

    def repository(self, reference: Reference) -> Repository:
        """The repository that a reference lies in."""
        session = self.session(reference.registry)
        key = (reference.registry, reference.repository)
        with self._lock:
            found = self._repositories.get(key)
            if found is None:
                found = self._repositories[key] = Repository(
                    session, reference.repository, self.known, self.waiter
                )
            return found

    def each(
        self, function: Callable[[T], R], items: Iterable[T], *, brake: Brake | None = None
    ) -> list[R]:
        """Do something for each item, `jobs` at a time; see `store.parallel.each`."""
        return each(function, items, self.jobs, brake=brake)
