"""The repositories of a registry: a list that many, Docker Hub among them, give nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from imagist.errors import NetworkError, NotFound
from imagist.oci.manifest import decode
from imagist.registry.pages import read_pages
from imagist.registry.scope import Scope
from imagist.registry.session import Session

CATALOG: Final = (Scope("registry:catalog", ("*",)),)
_PAGE: Final = 1000
"""Names on a page; some registries refuse to give more."""


class _Catalog(msgspec.Struct, frozen=True):
    repositories: tuple[str, ...] | None = ()


def list_repositories(session: Session) -> Iterator[str]:
    """The repositories, in the registry's order, page by page.

    Raises:
        NetworkError: the registry cannot be reached, gives no such list, or refuses.
    """
    try:
        for page in read_pages(session, f"/v2/_catalog?n={_PAGE}", CATALOG):
            what = f"the catalog of {session.registry}"
            yield from decode(_Catalog, page, what).repositories or ()
    except NotFound as error:
        raise NetworkError(
            f"{session.registry} tells nobody which repositories it has: {error}",
            help="name a repository: `imagist ls REPOSITORY` lists its tags",
        ) from None
