"""Supply: bytes of packages that a build turns out to need though it did not fetch them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from imagist.build.context import Context, Options
from imagist.build.memory import read_memory
from imagist.build.plan import Plan
from imagist.digest import CHUNK
from imagist.errors import NotFound
from imagist.oci.platform import Platform
from imagist.packages.fetch import Identity, Named
from imagist.packages.files import PackageFiles

_CONNECTIONS: Final = 8


class Supply:
    """Brings data segments into the store: out of the target's blobs, else out of packages."""

    def __init__(
        self,
        plan: Plan,
        platforms: Iterable[Platform],
        options: Options,
        context: Context,
        *,
        recollect: bool = False,
    ) -> None:
        """Read the target's memory, if it is wanted.

        Raises:
            NetworkError: the registry cannot be asked.
        """
        self.recollected: Mapping[Identity, PackageFiles] = {}
        """What need not be fetched to be known."""
        self._options = options
        self._format = plan.format
        self._context = context
        self._wanted: dict[str, Named] = {}
        if recollect and context.target is not None:
            self.recollected = read_memory(context.target.find_memory(), plan.format)
            self._wanted = {
                digest: package
                for each in platforms
                for package in plan.resolved.packages[each]
                if package.identity in self.recollected
                and (digest := plan.format.find_data(package))
            }

    def bring(self, digests: Iterable[str]) -> None:
        """See to it that data segments are in the store; other blobs are none of its business.

        Raises:
            ImagistError: a package cannot be had, or is not what it should be.
        """
        store = self._context.store
        missing = [each for each in digests if each in self._wanted and not store.has(each)]
        if not missing:
            return
        with ThreadPoolExecutor(min(_CONNECTIONS, len(missing))) as pool:
            taken = list(pool.map(self._take, missing))
        rest = [self._wanted[each] for each, done in zip(missing, taken, strict=True) if not done]
        if rest:
            self._fetch(rest)

    def _take(self, digest: str) -> bool:
        """Take a blob from the target, if that has it."""
        context = self._context
        assert context.target is not None  # noqa: S101 - else nothing was recollected
        try:
            with context.target.open_blob(digest) as stream, context.store.writer() as writer:
                while chunk := stream.read(CHUNK):
                    writer.write(chunk)
                writer.commit(digest)
        except NotFound:
            return False
        return True

    def _fetch(self, packages: list[Named]) -> None:
        context = self._context
        with context.report.meter("packages", items=len(packages)) as meter:
            self._format.open_fetcher(context, self._options, meter=meter).fetch(packages)
