"""Solving for commands that tell reasons, which only the solver knows."""

from __future__ import annotations

import argparse
from typing import Any

from imagist.build.plan import Plan, plan_images
from imagist.cli.session import load_thing, open_context, read_options
from imagist.errors import RequestError


def solve_thing(values: argparse.Namespace) -> tuple[Plan, Any]:
    """The plan of the declaration that the command line names, and what the solver found.

    Raises:
        RequestError: a lock decides, and no solver.
    """
    loaded, options = load_thing(values), read_options(values)
    if options.lock is not None:
        raise RequestError("a lock knows no reasons", help="leave --lock out to ask the solver")
    plan = plan_images(loaded, options, open_context(values), reasons=True)
    assert plan.resolved.resolution is not None  # noqa: S101 - there is no lock
    return plan, plan.resolved.resolution
