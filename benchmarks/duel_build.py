"""A duel: imagist and apko build the same image from the same packages, in turn.

    make bench                      (or: python benchmarks/duel_build.py --rounds 5 --only W38)

Each round runs both, one after the other and in changing order, so that a busy machine
disturbs both alike. `cold`: nothing cached, packages in a local folder. `warm`: the cache of a
build before. Both write one archive, and no SBOM. In all runs the packages are in the page cache.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from realworld.tools import Spent, measure  # noqa: E402
from realworld.workload import Name, make_workload  # noqa: E402
from support import find_tool  # noqa: E402

Runner = Callable[[Path], Spent]
Temperature = Literal["cold", "warm"]


def run_imagist(folder: Path) -> Spent:
    """Build with what lies in `folder/imagist`."""
    command = [sys.executable, "-m", "imagist", "build", "image.yaml", "-o", "imagist.tar"]
    return measure([*command, "-t", "duel:1", "--cache", "imagist"], folder)


def run_apko(folder: Path) -> Spent:
    """Build with what lies in `folder/apko`."""
    apko = find_tool("apko")
    if apko is None:
        raise SystemExit("apko is not here: .ci/install builds it (set IMAGIST_TEST_TOOLS)")
    command = [apko, "build", "image.yaml", "duel:1", "apko.tar", "--arch", "x86_64"]
    quiet = ["--sbom=false", "--vcs=false", "--log-level", "error"]
    return measure([*command, *quiet, "--cache-dir", str(folder / "apko")], folder)


RIVALS: dict[str, Runner] = {"imagist": run_imagist, "apko": run_apko}


def duel(name: Name, temperature: Temperature, rounds: int) -> None:
    """Run the rounds and print a line for each rival, and one of ratios."""
    workload = make_workload(name)
    spent: dict[str, list[Spent]] = {rival: [] for rival in RIVALS}
    with tempfile.TemporaryDirectory(prefix="duel") as temporary:
        folder = Path(temporary)
        (folder / "image.yaml").write_text(workload.declaration())
        for run in RIVALS.values():  # fills the page cache, and the tools' own caches
            run(folder)
        for number in range(rounds):
            order = list(RIVALS) if number % 2 else list(RIVALS)[::-1]
            for rival in order:
                if temperature == "cold":
                    shutil.rmtree(folder / rival, ignore_errors=True)
                spent[rival].append(RIVALS[rival](folder))
    report(f"{name} {temperature}", spent)


def report(title: str, spent: dict[str, list[Spent]]) -> None:
    """Print medians, and the median of the rounds' ratios."""
    for rival, runs in spent.items():
        seconds = [run.seconds for run in runs]
        print(
            f"{title:10} {rival:8} {statistics.median(seconds):6.2f} s "
            f"({min(seconds):.2f}-{max(seconds):.2f}), "
            f"CPU {statistics.median(run.cpu for run in runs):6.2f} s, "
            f"peak {max(run.peak for run in runs) >> 20} MB"
        )
    pairs = zip(spent["apko"], spent["imagist"], strict=True)
    ratios = [theirs.seconds / ours.seconds for theirs, ours in pairs]
    print(
        f"{title:10} apko / imagist: {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f})"
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["W38", "W156"])
    values = parser.parse_args()
    names: list[Name] = [values.only] if values.only else ["W38", "W156"]
    for name in names:
        duel(name, "cold", values.rounds)
        duel(name, "warm", values.rounds)


if __name__ == "__main__":
    main()
