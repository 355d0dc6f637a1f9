"""The table: Markdown on stdout, a line as soon as it is known; and everything as JSON."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.measuring import Aim, Result
from realworld.tools import Spent
from support import find_tool

_COLUMNS = (
    *("case", "imagist", "CPU", "peak", "rival", "its time", "CPU", "peak"),
    *("rival / imagist", "aim"),
)


def describe_machine() -> dict[str, str]:
    """What ran, where and when."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "imagist": _imagist_version(),
        "apko": _apko_version(),
        "Python": platform.python_version(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / 1e9:.0f} GB",
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def print_head(machine: dict[str, str], rounds: int) -> None:
    """Print what ran, what the columns mean, and the table's head."""
    print(", ".join(f"{name} {value}" for name, value in machine.items()) + ".")
    print(
        f"Rounds: {rounds}. Times are medians (least-most) of fresh processes run in turn; CPU is "
        "seconds of all processors, peak the most resident memory in MB; ratios are of the "
        "rounds' pairs.\n"
    )
    print(f"| {' | '.join(_COLUMNS)} |")
    print(f"|{'---|' * len(_COLUMNS)}", flush=True)


def print_row(result: Result) -> None:
    """Print a line of the table."""
    row = result.row
    if result.trouble:
        cells = [
            row.case,
            f"not available: {name_trouble(result.trouble)}",
            *[""] * (len(_COLUMNS) - 2),
        ]
    else:
        ratio = _range(result.ratios)
        ours, rival = _cells(result.ours), _cells(result.rival)
        cells = [row.case, *ours, row.rival, *rival, ratio, _judge(row.aim, result.missed())]
    print("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |", flush=True)


def name_trouble(trouble: str) -> str:
    """The line that says what went wrong: the tool's own, or the last."""
    lines = trouble.strip().splitlines()
    told = [line for line in lines if line.lower().startswith("error")]
    return (told or lines[-1:])[0][:160]


def write_json(path: Path, machine: dict[str, str], results: Sequence[Result]) -> None:
    """Write every run of every row."""
    rows = [
        {
            "case": result.row.case,
            "rival": result.row.rival,
            "aim": result.row.aim.__dict__,
            "missed": [] if result.trouble else result.missed(),
            "trouble": result.trouble,
            "runs": {
                "imagist": list(map(_describe, result.ours)),
                result.row.rival: list(map(_describe, result.rival)),
            },
            "ratios": result.ratios,
        }
        for result in results
    ]
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def _describe(run: Spent) -> dict[str, float]:
    return {"seconds": run.seconds, "cpu": run.cpu, "peak": run.peak}


def _cells(runs: Sequence[Spent]) -> list[str]:
    cpu = statistics.median(run.cpu for run in runs)
    peak = max(run.peak for run in runs)
    return [_time([run.seconds for run in runs]), _time([cpu]), f"{peak / 1e6:.0f} MB"]


def _time(seconds: Sequence[float]) -> str:
    """In milliseconds where the median is short."""
    if statistics.median(seconds) >= 1:
        return _range(seconds, " s")
    return _range([value * 1000 for value in seconds], " ms")


def _range(values: Sequence[float], unit: str = "") -> str:
    """The median, with three digits, and between what it lies."""
    middle = statistics.median(values)
    digits = 2 if middle < 10 else 1 if middle < 100 else 0
    text = f"{middle:.{digits}f}{unit}"
    if len(values) == 1:
        return text
    return f"{text} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _judge(aim: Aim, missed: Sequence[str]) -> str:
    parts = {
        "ratio": aim.ratio and f"≥ {aim.ratio:g}",
        "time": aim.seconds and f"≤ {_time([aim.seconds])}",
        "memory": aim.megabytes and f"≤ {aim.megabytes} MB",
    }
    verdicts = {True: "missed", False: "met"}
    return ", ".join(f"{text} {verdicts[name in missed]}" for name, text in parts.items() if text)


def _imagist_version() -> str:
    version = _ask(sys.executable, "-m", "imagist", "--version").split()[-1]
    commit = _ask("git", "-C", str(ROOT), "describe", "--always", "--dirty").strip()
    return f"{version} ({commit})" if commit else version


def _apko_version() -> str:
    apko = find_tool("apko")
    if apko is None:
        return "absent"
    lines = _ask(apko, "version").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return f"{fields['GitVersion'].strip()} ({fields['GoVersion'].strip()})"


def _ask(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
