"""Errors as people see them."""

from __future__ import annotations

from imagist.errors import NotFound, Problem, RequestError, Span
from imagist.text.diagnostics import WIDTH, render
from imagist.text.suggest import did_you_mean, suggest


def test_a_problem_with_a_place() -> None:
    where = Span("image.yaml", 12, 3, 10, "  repository:")
    error = RequestError("unknown key `repository`", where=where, help="did you mean it?")
    assert render(error, color=False) == (
        "error: unknown key `repository`\n"
        "  --> image.yaml:12:3\n"
        "   |\n"
        "12 |   repository:\n"
        "   |   ^^^^^^^^^^\n"
        "help: did you mean it?\n"
    )


def test_a_problem_without_a_place() -> None:
    assert render(NotFound("gone"), color=False) == "error: gone\n"
    assert render(NotFound("gone", where="x.apk"), color=False) == "error: gone\n --> x.apk\n"


def test_several_problems_are_counted() -> None:
    error = RequestError([Problem("one"), Problem("two")])
    assert render(error, color=False) == "error: one\n\nerror: two\n\nFound 2 errors.\n"


def test_color_changes_nothing_but_color() -> None:
    error = RequestError("no", where=Span("f", 1, 1, 2, "ab"), help="yes")
    colored = render(error, color=True)
    assert "\x1b[1;31m" in colored
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render(error, color=False)


def test_the_caret_stands_under_wide_characters_and_tabs() -> None:
    lines = render(RequestError("x", where=Span("f", 1, 4, 1, "\t日é!")), color=False).split("\n")
    assert lines[3] == "1 |     日é!"
    assert lines[4] == "  |        ^"  # four for the tab, two for the wide one, one for the rest


def test_what_is_shown_cannot_steer_a_terminal() -> None:
    where = Span("f\x1b[2J", 1, 1, 1, "a\x1b]0;x\x07")
    shown = render(RequestError("bad \x1b[31m\u202e", where=where, help="\r"), color=False)
    assert not set(shown) & {"\x1b", "\x07", "\r", "\u202e"}


def test_long_lines_are_cut_around_the_place() -> None:
    text = "x" * 500 + "HERE" + "y" * 500
    lines = render(RequestError("x", where=Span("f", 1, 501, 4, text)), color=False).split("\n")
    excerpt, caret = lines[3][4:], lines[4][4:]
    assert len(excerpt) == WIDTH + 6
    assert excerpt[caret.index("^") : caret.index("^") + 4] == "HERE"
    assert caret.count("^") == 4


def test_a_place_beyond_the_line_is_shown_at_its_end() -> None:
    lines = render(RequestError("x", where=Span("f", 1, 3, 9, "ab")), color=False).split("\n")
    assert lines[4] == "  |   ^"


def test_suggestions() -> None:
    assert suggest("repository", ["repositories", "packages"]) == "repositories"
    assert suggest("work_dir", ["work-dir", "cmd"]) == "work-dir"
    assert suggest("CMD", ["cmd"]) == "cmd"
    assert suggest("zzz", ["cmd"]) is None
    assert did_you_mean("zzz", ["cmd", "paths"]) == "one of `cmd`, `paths`"
    assert did_you_mean("zzz", [f"k{n}" for n in range(20)]) is None
