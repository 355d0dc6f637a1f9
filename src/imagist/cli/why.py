"""`imagist why`: the chains of reasons from what was asked for to a package."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from imagist.build.plan import Plan
from imagist.cli.answer import print_json
from imagist.cli.reasons import solve_thing
from imagist.errors import NotFound, Problem
from imagist.oci.platform import Platform
from imagist.packages.solving.resolution import Offer
from imagist.packages.solving.why import Why


def run(values: argparse.Namespace) -> None:
    """Print the chains for each platform; platforms with the same reasons together."""
    plan, resolution = solve_thing(values)
    found = _ask(plan, resolution, values.package)
    if values.json:
        print_json({str(platform): msgspec.to_builtins(each) for platform, each in found.items()})
        return
    texts: dict[str, list[str]] = {}
    for platform, each in found.items():
        texts.setdefault(_tell(each), []).append(str(platform))
    for text, platforms in texts.items():
        if len(found) > 1 or len(plan.platforms) > 1:
            sys.stdout.write(f"# {', '.join(platforms)}\n")
        sys.stdout.write(text)


def _ask(plan: Plan, resolution: Any, name: str) -> dict[Platform, Why[Offer]]:
    """The reasons on every platform that has the package."""
    found: dict[Platform, Why[Offer]] = {}
    problems: list[Problem] = []
    for platform in plan.platforms:
        universe = plan.resolved.universes[platform]
        try:
            found[platform] = plan.format.why(resolution, platform, name, universe)
        except NotFound as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if not found:
        raise NotFound(problems[:1])
    return found


def _tell(found: Why[Offer]) -> str:
    lines = []
    for number, chain in enumerate(found.chains):
        if number:
            lines.append("also:")
        lines += [f"{'  ' * depth}{link}" for depth, link in enumerate(chain)]
    if found.alternatives:
        lines.append("passed over:")
        lines += [f"  {each.name}-{each.version}: {each.because}" for each in found.alternatives]
    return "\n".join(lines) + "\n"
