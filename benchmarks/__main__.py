"""Runs the cases and prints the table."""

from __future__ import annotations

import argparse
import compileall
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import ROOT, WORK, builds, debian, moving, publishing
from benchmarks.changing import Changing
from benchmarks.lastmile import Wheels
from benchmarks.measuring import Heat, Result, run_heat
from benchmarks.memory import Memory
from benchmarks.report import describe_machine, print_head, print_row, write_json
from benchmarks.resolving import Resolving
from benchmarks.serving import WORKS, Serving
from benchmarks.startup import StartUp

_ROUNDS = 5


def list_heats(*, quick: bool) -> Iterator[Heat]:
    """Every heat, the short ones first."""
    yield StartUp()
    yield Resolving(cold=True)
    yield Resolving(cold=False)
    yield from map(Serving, WORKS)
    yield Wheels(cold=True)
    yield Wheels(cold=False)
    yield Changing()
    yield from builds.list_heats("W38")
    yield from builds.list_heats("W156")
    yield from debian.list_heats("W38")
    yield from debian.list_heats("W156")
    yield from moving.list_heats(quick=quick)
    yield from publishing.list_heats()
    yield Memory(256, 32, 4) if quick else Memory(1024, 64, 8)


def main() -> int:
    """Run what the command line asks for; 1 if something was not available."""
    values = _read_arguments()
    rounds = values.rounds or (1 if values.quick else _ROUNDS)
    chosen = [
        (heat, rows)
        for heat in list_heats(quick=values.quick)
        if (
            rows := [
                row
                for row in heat.rows
                if values.only.search(row.case) and (row.quick or not values.quick)
            ]
        )
    ]
    if not chosen:
        cases = dict.fromkeys(row.case for heat in list_heats(quick=False) for row in heat.rows)
        raise SystemExit("no case is called that; there are:\n" + "\n".join(cases))
    compileall.compile_dir(ROOT / "src", quiet=1)  # no run is the one that compiles
    machine = describe_machine()
    print_head(machine, rounds)
    results: list[Result] = []
    for heat, rows in chosen:
        start = time.monotonic()
        print(f"{rows[0].case} ...", file=sys.stderr, end=" ", flush=True)
        found = run_heat(heat, rows, rounds)
        print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
        if found[0].trouble:
            print(found[0].trouble[-600:], file=sys.stderr)
        for result in found:
            print_row(result)
        results += found
    clear()
    if values.json:
        write_json(values.json, machine, results)
    return int(any(result.trouble for result in results))


def clear() -> None:
    """Give the disk back; large packages and wheels stay for the next time."""
    for folder in WORK.iterdir():
        if not folder.name.startswith(("heavy", "lastmile")):
            shutil.rmtree(folder)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {_ROUNDS}")
    parser.add_argument(
        "--only",
        type=re.compile,
        metavar="PATTERN",
        default="",
        help="cases in which this regular expression is found, such as 'W156 warm'",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run here too")
    parser.add_argument("--quick", action="store_true", help="one round, and fewer cases")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
