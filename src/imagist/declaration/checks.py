"""What images and projects must both satisfy: how a container runs, and the modes of files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from imagist.declaration.model import Healthcheck

_PORT: Final = r"([0-9]{1,5})(?:/(?:tcp|udp|sctp))?"
_NAME: Final = r"[^\s:,/\x00-\x1f\x7f-][^\s:,/\x00-\x1f\x7f]*"
_NUMBER: Final = r"[0-9]{1,10}"
_MOST: Final = 0x7FFF_FFFF
"""The highest number of a user or group that runtimes take."""
_SIGNALS: Final = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT "
    "STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX"
)
"""Of Linux, without the SIG in front."""
_REAL_TIME: Final = r"RTMIN\+(?:[0-9]|1[0-5])|RTMAX-(?:[0-9]|1[0-4])"
_LAST: Final = 64
"""The highest number of a signal."""
_DECIMAL_MODES: Final = frozenset(
    (755, 644, 777, 700, 600, 555, 444, 640, 750, 775, 664, 770, 660, 1777, 2775)
)
"""Numbers that are modes when read as octal, and nonsense as the decimal they are."""


class Report(Protocol):
    """Notes what is wrong, by the path of the key: `ports[1]`."""

    def __call__(self, path: str, message: str, advice: str | None = None) -> None:
        """Note a problem at a key, with one next step."""


def check_running(
    report: Report,
    *,
    stop_signal: str,
    work_dir: str,
    volumes: Iterable[str],
    ports: Iterable[str],
    variables: tuple[str, Mapping[str, str]],
) -> None:
    """Check what of a declaration a runtime would refuse, or take for something else.

    Args:
        report: notes what is wrong.
        stop_signal: a name or a number.
        work_dir: where a container starts.
        volumes: folders that a runtime keeps.
        ports: as `8080` or `53/udp`.
        variables: the name of their key, and the variables.
    """
    if stop_signal and not is_signal(stop_signal):
        from imagist.text.suggest import did_you_mean  # noqa: PLC0415 - seldom wrong

        usual = did_you_mean(stop_signal, [f"SIG{name}" for name in _SIGNALS.split()])
        advice = usual or f"write a name such as SIGTERM, or a number up to {_LAST}"
        report("stop-signal", f"`{stop_signal}` is not a signal", advice)
    if work_dir and not work_dir.startswith("/"):
        report("work-dir", f"`work-dir` must begin with /: `{work_dir}`")
    for index, volume in enumerate(volumes):
        if not volume.startswith("/"):
            report(f"volumes[{index}]", f"a volume must begin with /: `{volume}`")
    for index, port in enumerate(ports):
        match = re.fullmatch(_PORT, port)
        if match is None or not 1 <= int(match[1]) <= 0xFFFF:
            report(f"ports[{index}]", f"`{port}` is not a port", "write 8080 or 53/udp")
    key, named = variables
    for name in named:
        if not name or "=" in name or "\0" in name:
            report(f"{key}.{name}", f"`{name}` cannot name a variable")


def check_healthcheck(report: Report, healthcheck: Healthcheck) -> None:
    """Check how a container is probed."""
    from imagist.text.words import parse_duration  # noqa: PLC0415 - few say it

    test = healthcheck.test
    if not test:
        report("healthcheck", "a healthcheck without `test` does nothing", "add `test`")
    elif isinstance(test, tuple) and test[0] not in {"NONE", "CMD", "CMD-SHELL"}:
        report("healthcheck.test", f"a test cannot begin with `{test[0]}`", "begin with CMD")
    for key in ("interval", "timeout", "start-period", "start-interval"):
        try:
            parse_duration(getattr(healthcheck, key.replace("-", "_")))
        except ValueError as error:
            report(f"healthcheck.{key}", str(error))


def check_user(report: Report, path: str, user: str) -> None:
    """Check the form of whom a container runs as: a user, and a group after a colon.

    Whether an image knows the names is asked when there is one.
    """
    if user and not all(map(_is_account, user.split(":", 1))):
        advice = f"write a name or a number up to {_MOST}, as in nonroot or 65532:65532"
        report(path, f"`{user}` is nobody that a container can run as", advice)


def check_words(report: Report, path: str, text: str) -> None:
    """Check that a command can be split as a shell would split it."""
    if not text:
        return
    from imagist.text.words import split_words  # noqa: PLC0415 - most are lists, or absent

    try:
        split_words(text)
    except ValueError as error:
        report(path, f"`{path}` cannot be split into words: {error}")


def check_mode(report: Report, path: str, mode: int | None) -> None:
    """Check that permissions are not decimal by mistake."""
    if mode in _DECIMAL_MODES:
        report(
            f"{path}.permissions",
            f"permissions are octal, and {mode} is decimal (0o{mode:o})",
            f"write 0o{mode}",
        )


def is_signal(text: str) -> bool:
    """Whether Linux has a signal of a name or number.

    >>> [is_signal(text) for text in ("SIGTERM", "INT", "15", "SIGRTMIN+3", "SIGFOO", "65", "0")]
    [True, True, True, True, False, False, False]
    """
    if re.fullmatch(_NUMBER, text):
        return 1 <= int(text) <= _LAST
    name = text.removeprefix("SIG")
    return name in _SIGNALS.split() or re.fullmatch(_REAL_TIME, name) is not None


def _is_account(text: str) -> bool:
    if re.fullmatch(_NUMBER, text):
        return int(text) <= _MOST
    return re.fullmatch(_NAME, text) is not None
