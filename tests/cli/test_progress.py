"""Telling how far work is: on a terminal, in lines, and in JSON."""

from __future__ import annotations

import argparse
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.commandline import command, environment, spawn
from build.conftest import Workshop
from cli.screen import Terminal
from fixtures.webserver import Answer, serve
from imagist.cli.count import Count
from imagist.cli.jsonlines import describe_error, format_line
from imagist.cli.messages import Messages
from imagist.cli.progress import Rate, View, describe, describe_end, format_size, format_time
from imagist.errors import InputError, Problem, RequestError, Span
from imagist.progress import SILENT
from imagist.text.diagnostics import columns

NOTHING: Mapping[str, str] = {}
WORK = """
import argparse, sys, time
from imagist.cli.messages import Messages
from imagist.errors import InputError
values = argparse.Namespace(json=False, quiet=False, verbose=False, progress="auto", color="never")
messages = Messages(values)
messages.stage("fetching")
try:
    with messages.meter("packages", items=9, size=9_000_000) as meter:
        for number in range(9):
            meter.add(1_000_000)
            meter.finish(f"package-{number}")
            sys.stdin.readline()
            if number == 4:
                messages.warn("something is odd")
            if number == 7 and "fail" in sys.argv:
                raise InputError("no")
except InputError:
    sys.stderr.write("error: no\\n")
print("sha256:done")
"""


def work(
    tmp_path: Path, *words: str, width: int = 80, variables: Mapping[str, str] = NOTHING
) -> Terminal:
    """A process with a meter on a terminal, which goes on with every line it is typed."""
    env = environment(**{"TERM": "xterm", "PYTHONUTF8": "1", **variables})
    return Terminal([sys.executable, "-c", WORK, *words], cwd=tmp_path, env=env, columns=width)


def type_line(terminal: Terminal, times: int = 1) -> None:
    for _ in range(times):
        terminal.type("\n")


def shows(terminal: Terminal, text: str) -> Callable[[], bool]:
    return lambda: any(text in row for row in terminal.screen.text)


# On a terminal


def test_a_terminal_shows_what_is_done_and_nothing_stays_of_it(tmp_path: Path) -> None:
    terminal = work(tmp_path)
    assert terminal.show(shows(terminal, "1 of 9"))
    [stage, status, name] = terminal.screen.text
    assert stage == "fetching"
    assert status.startswith("packages  ━━")
    assert "11 %  1.0 of 9.0 MB" in status
    assert name == "package-0"
    type_line(terminal, 3)
    assert terminal.show(shows(terminal, "4 of 9"))
    assert terminal.screen.text[2] == "package-3"
    type_line(terminal, 9)
    code, out = terminal.wait()
    assert (code, out) == (0, "sha256:done\n")
    [stage, warning, summary] = terminal.screen.text
    assert (stage, warning) == ("fetching", "warning: something is odd")
    assert summary.startswith("packages: 9, 9.0 MB in ")


def test_warnings_scroll_above_the_live_view(tmp_path: Path) -> None:
    terminal = work(tmp_path)
    assert terminal.show(shows(terminal, "1 of 9"))
    type_line(terminal, 5)
    assert terminal.show(shows(terminal, "6 of 9"))
    assert terminal.screen.text[1] == "warning: something is odd"
    assert terminal.screen.text[2].startswith("packages  ")
    type_line(terminal, 9)
    terminal.wait()


def test_an_error_stands_alone(tmp_path: Path) -> None:
    terminal = work(tmp_path, "fail")
    assert terminal.show(shows(terminal, "1 of 9"))
    type_line(terminal, 9)
    terminal.wait()
    assert terminal.screen.text == ["fetching", "warning: something is odd", "error: no"]


def test_the_view_lives_with_the_width_of_its_terminal(tmp_path: Path) -> None:
    terminal = work(tmp_path, width=90)
    assert terminal.show(shows(terminal, "1 of 9"))
    terminal.resize(30)
    terminal.screen.columns = 30
    type_line(terminal)
    assert terminal.show(shows(terminal, "package-1"))
    frame = terminal.written.rpartition("\r")[2].replace("\x1b[K", "").replace("\x1b[J", "")
    assert all(len(line) < 30 for line in frame.split("\n"))
    type_line(terminal, 9)
    assert terminal.wait()[0] == 0


def test_only_ascii_where_the_locale_is_not_utf_8(tmp_path: Path) -> None:
    ascii_only = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    terminal = work(tmp_path, variables=ascii_only)
    type_line(terminal, 4)
    assert terminal.show(shows(terminal, "5 of 9"))
    type_line(terminal, 9)
    terminal.wait()
    assert "##" in terminal.written
    assert terminal.written.isascii()


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot_do_it_gets_lines(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    terminal = work(tmp_path, variables=variables)
    assert terminal.show(shows(terminal, "fetching"))
    type_line(terminal, 9)
    terminal.wait()
    assert "\x1b" not in terminal.written
    assert len(terminal.screen.text) == 3


def test_short_work_shows_nothing(tmp_path: Path) -> None:
    terminal = work(tmp_path)
    type_line(terminal, 9)
    terminal.wait()
    shown = [row for row in terminal.screen.text if row.strip()]
    # On a machine so slow that it took longer, the lines are those of long work.
    assert shown in ([], ["warning: something is odd"]) or shown[0] == "fetching"


def test_an_interrupt_erases_the_view(workshop: Workshop) -> None:
    with serve() as web:
        url = web.serve_folder(Path("repo"), "/repo")
        for path in Path("repo/x86_64").glob("*.apk"):
            web.on(f"/repo/x86_64/{path.name}", Answer(pause=300.0))
        workshop.write(
            f"contents:\n  repositories: ['{url}']\n  keyring: [demo-test-only.rsa.pub]\n"
            "  packages: [hello]\narchs: [x86_64]\n"
        )
        terminal = Terminal(
            command("build", "image.yaml", "--cache", workshop.store),
            cwd=workshop.folder,
            env=environment(TERM="xterm", IMAGIST_PROGRESS="auto"),
        )
        assert terminal.show(shows(terminal, "0 of"))
        assert len(terminal.screen.text) >= 2
        terminal.type("\x03")
        code, out = terminal.wait()
    assert (code, out) == (130, "")
    # The terminal itself echoes ^C.
    assert [row.removeprefix("^C") for row in terminal.screen.text][-1] == "interrupted"
    assert not any("0 of" in row for row in terminal.screen.text)


# Drawing


class Sheet(io.StringIO):
    """A stream of a certain encoding and no width."""

    encoding = "utf-8"


@given(st.text(max_size=40), st.text(max_size=200), st.integers(0, 10**13), st.integers(0, 10**13))
def test_no_line_of_the_view_is_wider_than_the_terminal(
    what: str, name: str, passed: int, size: int
) -> None:
    count = Count(what, 3, size)
    count.add(passed)
    count.finish(name)
    written: list[str] = []
    View(count, Sheet(), written.append, color=False).draw()
    lines = written[0].replace("\x1b[K", "").replace("\x1b[J", "").split("\n")
    assert len(lines) in {1, 2}
    assert all(columns(line) < 80 for line in lines)
    assert all(line.isprintable() for line in lines)


def test_sizes_and_times_are_short() -> None:
    assert [format_size(n) for n in (0, 999, 1000, 94_240_000, 3 * 10**9)] == [
        "0 B", "999 B", "1.0 kB", "94.2 MB", "3.0 GB",
    ]  # fmt: skip
    assert [format_time(n) for n in (0.1, 59.2, 100, 5400, 7300)] == [
        "1 s", "60 s", "2 min", "2 h", "3 h",
    ]  # fmt: skip


def test_the_rate_is_smooth_and_comes_to_the_truth() -> None:
    rate = Rate(0, 0.0)
    assert rate.update(1000, 1.0) == 1000
    first = rate.update(1000, 1.1)
    assert 900 < first < 1000
    for tick in range(200):
        last = rate.update(1000 + 50 * (tick + 1), 1.1 + 0.1 * (tick + 1))
    assert 499 < last < 501
    assert rate.update(5000, 21.1) == last  # no time has passed


def test_what_the_store_had_counts_as_an_item_but_not_as_bytes() -> None:
    count = Count("packages", 4, 1000)
    count.finish("a", remembered=True)
    assert describe(count) == "packages  25 %  1 of 4"
    count.add(300)
    count.finish("b")
    assert describe(count) == "packages  50 %  300 B  2 of 4"
    assert describe_end(count).startswith("packages: 1, 300 B in ")
    assert describe_end(count).endswith("; 1 were there already")


def test_counting_loses_nothing_between_threads() -> None:
    count = Count("bytes", 0, None)

    def add() -> None:
        for _ in range(20_000):
            count.add(1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert count.passed == 80_000


# Elsewhere


def messages(monkeypatch: pytest.MonkeyPatch, **flags: object) -> tuple[Messages, io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    values = {"json": False, "quiet": False, "verbose": False, "progress": "auto", "color": "auto"}
    return Messages(argparse.Namespace(**values | flags)), stream


def test_short_work_is_silent_and_long_work_tells_its_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imagist.cli.messages.QUIET", 0.05)
    report, stream = messages(monkeypatch)
    report.stage("one")
    report.stage("two")
    assert stream.getvalue() == ""
    end = time.monotonic() + 10
    while not stream.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    assert stream.getvalue() == "two\n"
    report.stage("three")
    assert stream.getvalue() == "two\nthree\n"


@pytest.mark.parametrize("flags", [{"quiet": True}, {"progress": "none"}])
def test_who_wants_no_progress_gets_none(
    monkeypatch: pytest.MonkeyPatch, flags: dict[str, object]
) -> None:
    report, stream = messages(monkeypatch, verbose=True, **flags)
    report.stage("one")
    with report.meter("packages") as meter:
        assert meter is SILENT
        meter.add(1)
        meter.finish("x")
    report.warn("odd")
    assert stream.getvalue() == ("" if "quiet" in flags else "warning: odd\n")


@pytest.mark.parametrize("flags", [{"progress": "plain"}, {"verbose": True}])
def test_plain_progress_tells_everything_at_once(
    monkeypatch: pytest.MonkeyPatch, flags: dict[str, object]
) -> None:
    report, stream = messages(monkeypatch, **flags)
    report.stage("a \x1b[31m name\nof two lines")
    with report.meter("packages", items=2) as meter:
        meter.add(1500)
        meter.finish("x")
    with report.meter("nothing"):
        pass
    [stage, summary] = stream.getvalue().splitlines()
    assert stage == "a \ufffd[31m name of two lines"
    assert summary.startswith("packages: 1, 1.5 kB in ")


def test_a_stream_that_is_gone_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    report, stream = messages(monkeypatch, progress="plain")
    stream.close()
    report.stage("one")
    report.warn("two")
    with report.meter("three") as meter:
        meter.add(1)


# JSON


def test_with_json_every_line_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    report, stream = messages(monkeypatch, json=True)
    report.stage("resolving")
    report.warn("odd \udcff \u00e9")
    with report.meter("packages", items=3, size=40) as meter:
        meter.finish("a", remembered=True)
        meter.add(30)
        meter.finish("b")
    with report.meter("image.tar") as meter:
        meter.add(7)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"stage": "resolving"},
        {"warning": "odd ? é"},
        {
            "progress": {
                "what": "packages",
                "items": 2,
                "of": 3,
                "remembered": 1,
                "bytes": 30,
                "size": 40,
            }
        },
        {"progress": {"what": "image.tar", "items": 0, "remembered": 0, "bytes": 7}},
    ]
    assert stream.getvalue().isascii()


def test_an_error_in_json_has_a_line_for_each_problem() -> None:
    span = Span("image.yaml", 3, 5, 2, "  ab")
    problems = [Problem("a", span, "help"), Problem("b", "lock.json"), Problem("c")]
    assert [json.loads(line) for line in describe_error(RequestError(problems)).splitlines()] == [
        {
            "error": {
                "message": "a",
                "file": "image.yaml",
                "line": 3,
                "column": 5,
                "help": "help",
            },
            "exit_code": 2,
        },
        {"error": {"message": "b", "file": "lock.json"}, "exit_code": 2},
        {"error": {"message": "c"}, "exit_code": 2},
    ]
    assert json.loads(describe_error(InputError("x")))["exit_code"] == 3


@given(st.text())
def test_any_text_is_one_line_of_json(text: str) -> None:
    line = format_line({"stage": text + "\udc80"})
    assert line.count("\n") == 1
    assert json.loads(line) == {"stage": text + "?"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["build", "absent.yaml", "--json"], 3),
        (["biuld", "--json"], 2),
        (["build", "--json"], 2),
        (["--json", "build", "image.yaml", "--no-such-flag"], 2),
        (["--json"], 2),
        (["validate", "sha256:1234", "--json"], 3),
    ],
)
def test_errors_are_json_from_the_first_word_on(
    workshop: Workshop, words: list[str], code: int
) -> None:
    workshop.write("contents: {}\narchs: [amd64]\n")
    answer = workshop.run(*words)
    assert (answer.code, answer.out) == (code, "")
    assert [json.loads(line)["exit_code"] for line in answer.err.splitlines()] == [code]


def test_json_may_be_asked_for_by_the_environment(tmp_path: Path) -> None:
    answer = spawn("build", "absent", cwd=tmp_path, env=environment(IMAGIST_JSON="1"))
    assert json.loads(answer.err)["exit_code"] == 3
    answer = spawn("build", "absent", cwd=tmp_path, env=environment(IMAGIST_JSON="perhaps"))
    assert answer.err.startswith("error: IMAGIST_JSON")


# Variables


def test_variables_that_nobody_reads_are_told(tmp_path: Path) -> None:
    variables = {
        "IMAGIST_JBOS": "2",
        "IMAGIST_TEST_X": "1",
        "IMAGIST_OUTPUT": "x",
        "IMAGIST_ZZZZ": "",
    }
    said = spawn("schema", cwd=tmp_path, env=environment(**variables)).err.splitlines()
    assert said == [
        "warning: nothing reads the variable IMAGIST_JBOS; did you mean IMAGIST_JOBS?",
        "warning: nothing reads the variable IMAGIST_ZZZZ",
    ]
    assert spawn("schema", "-q", cwd=tmp_path, env=environment(**variables)).err == ""
    lines = spawn("schema", "--json", cwd=tmp_path, env=environment(**variables)).err.splitlines()
    assert [list(json.loads(line)) for line in lines] == [["warning"], ["warning"]]
