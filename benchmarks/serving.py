"""`imagist serve` beside distribution's registry: blobs in and out, and many small questions.

Both run for the whole heat, without an access log; what is measured is how long a client waits,
and the processor time and memory of the server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from benchmarks import WORK
from benchmarks.loading import Connection, ask_for_heads
from benchmarks.measuring import Aim, Contestant, Heat, Row, Unavailable
from fixtures.registries import free_port, started
from fixtures.serving import serving
from realworld.tools import Spent
from support import find_tool

Work = Literal["push", "pull", "HEAD"]
WORKS: tuple[Work, ...] = ("push", "pull", "HEAD")
_SIZE = 100_000_000
_HEADS = 2000
_CLIENTS = 16
_RIVAL = "distribution"
_CASES: Mapping[Work, tuple[str, Aim]] = {
    "push": ("serve: push a blob of 100 MB", Aim(ratio=1)),
    "pull": ("serve: pull a blob of 100 MB", Aim(ratio=1)),
    "HEAD": (f"serve: {_HEADS:,} HEADs of a manifest by {_CLIENTS} clients", Aim(ratio=0.5)),
}
_CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "{address}"}}
"""


class Serving(Heat):
    """One kind of request, to one server and the other in turn."""

    def __init__(self, work: Work) -> None:
        case, aim = _CASES[work]
        self._work = work
        self.repeat = 3 if work == "HEAD" else 1
        self.rows = (Row(case, "imagist", _RIVAL, aim),)
        self._running = contextlib.ExitStack()

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Start the servers, push what will be asked for, and ask once."""
        contestants = {}
        data = os.urandom(_SIZE)
        for name in names:
            folder = WORK / "serving" / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            start = _start_imagist if name == "imagist" else _start_distribution
            address, process = self._running.enter_context(start(folder))
            contestants[name] = Asked(
                [], folder, process=process, work=_prepare(self._work, address, data)
            )
            contestants[name].run()
        return contestants

    def tear_down(self) -> None:
        """Stop the servers."""
        self._running.close()
        shutil.rmtree(WORK / "serving", ignore_errors=True)


@dataclass(frozen=True)
class Asked(Contestant):
    """A server that runs already."""

    process: int = 0
    work: Callable[[], Callable[[], object]] = lambda: lambda: None
    """Makes ready, and gives what is timed."""

    def run(self) -> Spent:
        """Ask once, with nothing waiting to be written to disk."""
        timed = self.work()
        os.sync()
        before, start = self._cpu(), time.perf_counter()
        timed()
        seconds = time.perf_counter() - start
        return Spent(seconds, self._cpu() - before, self._peak(), "")

    def _cpu(self) -> float:
        """Seconds of all processors that the server has taken."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def _peak(self) -> int:
        status = Path(f"/proc/{self.process}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024


def _prepare(work: Work, address: str, data: bytes) -> Callable[[], Callable[[], object]]:
    """What makes a request ready."""
    with Connection(address) as connection:
        known = connection.push("team/app", data) if work == "pull" else ""
        connection.push_image("team/app", "latest")

    def push() -> Callable[[], object]:
        fresh = os.urandom(16) + data[16:]
        digest = f"sha256:{sha256(fresh).hexdigest()}"
        return lambda: _on_connection(address, lambda c: c.push_as("team/app", fresh, digest))

    def pull() -> Callable[[], object]:
        return lambda: _on_connection(address, lambda c: c.pull("team/app", known))

    def heads() -> Callable[[], object]:
        return lambda: ask_for_heads(address, "/v2/team/app/manifests/latest", _HEADS, _CLIENTS)

    return {"push": push, "pull": pull, "HEAD": heads}[work]


def _on_connection(address: str, ask: Callable[[Connection], object]) -> None:
    with Connection(address) as connection:
        ask(connection)


@contextlib.contextmanager
def _start_imagist(folder: Path) -> Iterator[tuple[str, int]]:
    with serving(folder / "store", "--access-log", "", "--quiet") as running:
        yield running.address, running.process.pid


@contextlib.contextmanager
def _start_distribution(folder: Path) -> Iterator[tuple[str, int]]:
    tool = find_tool("registry")
    if tool is None:
        raise Unavailable("distribution's registry is absent: .ci/install builds it")
    address = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(root=folder / "data", address=address))
    with started([tool, "serve", str(config)], folder, f"http://{address}/v2/") as process:
        yield address, process.pid
