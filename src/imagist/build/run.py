"""What a runtime does with an image: the declaration as the `config` of an image configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagist.declaration.model import Declaration, Healthcheck
from imagist.oci import manifest
from imagist.oci.manifest import RunConfig
from imagist.text.words import parse_duration, split_words


def run_config(
    declaration: Declaration,
    *,
    user: str,
    labels: Mapping[str, str],
    base: RunConfig | None = None,
) -> RunConfig:
    """The `config` object (image-spec config.md) of a declaration with defaults filled in.

    Args:
        declaration: see `defaults.with_defaults`.
        user: the numeric user, or empty.
        labels: the labels of the configuration.
        base: that of a base image, which counts where the declaration says nothing.
    """
    base = base or RunConfig()
    environment = dict(variable.partition("=")[::2] for variable in base.env or ())
    environment |= declaration.environment
    entrypoint = _entrypoint(declaration)
    command = tuple(split_words(declaration.cmd)) or None
    if entrypoint is None and command is None:
        entrypoint, command = base.entrypoint, base.cmd
    ports: dict[str, dict[str, Any]] = {_port(text): {} for text in declaration.ports}
    volumes: dict[str, dict[str, Any]] = {path: {} for path in declaration.volumes}
    check = declaration.healthcheck
    return RunConfig(
        user=user or base.user,
        exposed_ports=(base.exposed_ports or {}) | ports or None,
        env=tuple(f"{name}={environment[name]}" for name in sorted(environment)) or None,
        entrypoint=entrypoint,
        cmd=command,
        healthcheck=format_healthcheck(check) if check else base.healthcheck,
        volumes=(base.volumes or {}) | volumes or None,
        working_dir=declaration.work_dir or base.working_dir,
        labels=(base.labels or {}) | dict(labels) or None,
        stop_signal=declaration.stop_signal or base.stop_signal,
    )


def _entrypoint(declaration: Declaration) -> tuple[str, ...] | None:
    entrypoint = declaration.entrypoint
    if entrypoint.shell_fragment:
        return ("/bin/sh", "-c", entrypoint.shell_fragment)
    return tuple(split_words(entrypoint.command)) or None


def _port(text: str) -> str:
    return text if "/" in text else f"{text}/tcp"


def format_healthcheck(check: Healthcheck) -> manifest.Healthcheck:
    """A declared health check as Docker's configuration has it: a shell command is CMD-SHELL."""
    test = ("CMD-SHELL", check.test) if isinstance(check.test, str) else check.test
    return manifest.Healthcheck(
        test=test,
        interval=parse_duration(check.interval),
        timeout=parse_duration(check.timeout),
        start_period=parse_duration(check.start_period),
        start_interval=parse_duration(check.start_interval),
        retries=check.retries,
    )


def image_labels(declaration: Declaration, annotations: Mapping[str, str]) -> dict[str, str]:
    """The declared labels; where there are none, the annotations, as apko has it."""
    return dict(annotations if declaration.labels is None else declaration.labels)
