"""`imagist show`: what a declaration means, without building it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from typing import Final

from imagist.build.formats.table import find_format
from imagist.build.plan import Plan, plan_images
from imagist.build.resolve import add_options, choose_platforms
from imagist.cli.answer import print_json
from imagist.cli.session import load_thing, open_context, read_options
from imagist.errors import RequestError
from imagist.net.url import redact
from imagist.oci.platform import Platform

_PRESETS: Final = {
    "name-version": "{name}-{version}",
    "name=version": "{name}={version}",
    "name-(version)": "{name} ({version})",
}
_FIELD: Final = re.compile(r"\{(\w+)\}")


def run(values: argparse.Namespace) -> None:
    """Show packages, config or keys."""
    {"packages": _show_packages, "config": _show_config, "keys": _show_keys}[values.what](values)


def _show_config(values: argparse.Namespace) -> None:
    from imagist.declaration.show import describe_config, show_config

    declaration = add_options(load_thing(values).declaration, read_options(values))
    if values.json:
        print_json(describe_config(declaration))
    else:
        sys.stdout.write(show_config(declaration).decode())


def _show_packages(values: argparse.Namespace) -> None:
    loaded, options = load_thing(values), read_options(values)
    plan = plan_images(loaded, options, open_context(values), reasons=True)
    rows = {platform: _describe_packages(plan, platform) for platform in plan.platforms}
    if values.json:
        print_json([row for platform in plan.platforms for row in rows[platform]])
        return
    pattern = _PRESETS.get(values.format or "name-version", values.format)
    if not _FIELD.search(pattern):
        raise RequestError(
            f"--format has no preset `{pattern}`",
            help="one of " + ", ".join(_PRESETS) + "; or a pattern such as '{name} {size}'",
        )
    several = len(rows) > 1
    for platform, packages in rows.items():
        if several:
            sys.stdout.write(f"# {platform}\n")
        for row in packages:
            sys.stdout.write(_fill(pattern, row) + "\n")


def _describe_packages(plan: Plan, platform: Platform) -> list[dict[str, object]]:
    """One row for each package; a lock knows less of it than an index."""
    chosen = plan.resolved.packages[platform]
    resolution = plan.resolved.resolution
    offers = resolution.packages(platform) if resolution is not None else [None] * len(chosen)
    return [
        {
            "name": wanted.name,
            "version": wanted.version,
            **plan.format.describe(wanted, offer),
            "url": redact(wanted.url),
            "platform": str(platform),
        }
        for wanted, offer in zip(chosen, offers, strict=True)
    ]


def _fill(pattern: str, row: Mapping[str, object]) -> str:
    def field(found: re.Match[str]) -> str:
        if found[1] not in row:
            raise RequestError(
                f"--format has no field `{found[1]}`", help="one of " + ", ".join(row)
            )
        return str(row[found[1]])

    return _FIELD.sub(field, pattern)


def _show_keys(values: argparse.Namespace) -> None:
    from imagist.declaration.defaults import with_defaults

    loaded, options = load_thing(values), read_options(values)
    declaration = with_defaults(add_options(loaded.declaration, options))
    keys = find_format(declaration.contents).list_keys(
        declaration, choose_platforms(declaration, options), options, open_context(values)
    )
    if values.json:
        print_json(
            [{"name": key.name, "trusted_for": key.trusted_for, "pem": key.text} for key in keys]
        )
        return
    for key in keys:
        sys.stdout.write(f"{key.name}  {key.trusted_for}\n")
