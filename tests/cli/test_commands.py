from __future__ import annotations

import gc
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from build.commandline import Answer, command, environment, run, spawn
from build.conftest import Workshop
from imagist import __version__
from imagist.cli.command import Flag
from imagist.cli.parser import parse_arguments
from imagist.cli.table import GLOBAL_FLAGS, commands
from imagist.errors import RequestError

ALL = tuple(commands())
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\n")
Shop = Workshop


# Help, and the words of the command line


@pytest.mark.parametrize("name", [each.name for each in ALL])
def test_every_command_has_help_that_names_its_flags(name: str) -> None:
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    [found] = [each for each in ALL if each.name == name]
    for flag in (*found.flags, *GLOBAL_FLAGS):
        assert f"--{flag.name}" in out
    for line, what in found.examples:
        assert line in out
        assert what in out


def test_help_of_all_lists_every_command() -> None:
    out = run("--help").out
    assert all(f"    {each.name} " in out for each in ALL)


def test_nothing_asked_is_a_wrong_request_with_help_on_stderr() -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "COMMAND" in err


@pytest.mark.parametrize("words", [["--version"], ["--version", "-q"], ["-q", "--version"]])
def test_the_version(words: list[str]) -> None:
    assert run(*words) == Answer(0, f"imagist {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld", "x"], "did you mean `build`?"),
        (["-q", "biuld", "x"], "did you mean `build`?"),
        (["auth", "login", "ghcr.io"], "`imagist login REGISTRY`"),
        (["help"], "`imagist --help`"),
        (["qqqq"], "`imagist --help`"),
        (["build"], "THING"),
        (["build", "x", "--no-such-flag"], "--no-such-flag"),
        (["serve", "--lisen", ":0"], "did you mean `--listen`? `imagist serve --help`"),
        (["digest", "a", "b"], "`imagist digest --help`"),
        (["show", "everything", "x"], "everything"),
        (["build", "x", "--jobs", "0"], "--jobs"),
        (["build", "x", "--jobs", "many"], "many"),
        (["build", "x", "--max-apk-data-size", "-2"], "--max-apk-data-size"),
        (["serve", "--quota", "2X"], "--quota takes a number of bytes, as 500M"),
        (["build", "x", "--color", "pink"], "pink"),
        (["build", "x", "--platform", "vax"], "vax"),
        (["build", "x", "-t", "A:1"], "lower-case"),
        (["build", "x", "--annotation", "novalue"], "novalue"),
        (["build", "x", "--build-date", "soon"], "soon"),
        (["cache", "prune", "--older-than", "-1"], "--older-than"),
        (["graph", "x", "--format", "png"], "png"),
    ],
)
def test_words_that_make_no_sense_are_wrong_requests(
    workshop: Shop, words: list[str], message: str
) -> None:
    code, out, err = workshop.run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err


def test_a_command_that_is_none_is_told_to_programs_too() -> None:
    told = json.loads(run("--json", "psh").err)["error"]
    assert told == {"message": "there is no command `psh`", "help": "did you mean `push`?"}


@pytest.mark.parametrize(
    ("text", "size"),
    [("2048", 2048), ("2k", 2048), ("500M", 500 << 20), ("2G", 2 << 30), ("1TiB", 1 << 40)],
)
def test_a_number_of_bytes_may_have_a_unit(text: str, size: int) -> None:
    assert fields_of("serve", {}, "--quota", text)["quota"] == size
    assert fields_of("serve", {"IMAGIST_QUOTA": text})["quota"] == size


def test_a_value_may_be_called_like_a_command(workshop: Shop) -> None:
    name = workshop.declare()
    (workshop.folder / "show").mkdir()
    assert run("--cache", "show", "build", name).code == 0
    assert run("-C", "show", "build", f"../{name}", "--cache", "build").code == 3


# The environment


def fields_of(command_name: str, environ: dict[str, str], *words: str) -> dict[str, object]:
    return vars(parse_arguments([command_name, *words], environ)[1])


TWINS = [flag for flag in (*GLOBAL_FLAGS, *ALL[0].flags) if flag.twin]


@pytest.mark.parametrize("flag", TWINS, ids=lambda flag: flag.name)
def test_every_flag_has_a_twin_in_the_environment(flag: Flag) -> None:
    value = {"count": "3", "bytes": "3"}.get(flag.kind, flag.choices[-1] if flag.choices else "v")
    if flag.kind == "switch":
        value = "1"
    given = [] if flag.kind == "switch" else [value]
    by_flag = fields_of("build", {}, "x", f"--{flag.name}", *given)
    by_twin = fields_of("build", {flag.environment: value}, "x")
    assert by_flag == by_twin
    assert by_flag != fields_of("build", {}, "x")


def test_a_switch_in_the_environment_is_on_or_off() -> None:
    assert fields_of("build", {"IMAGIST_OFFLINE": "Yes"}, "x")["offline"] is True
    assert fields_of("build", {"IMAGIST_OFFLINE": "off"}, "x")["offline"] is False
    with pytest.raises(RequestError, match="IMAGIST_OFFLINE is `maybe`"):
        fields_of("build", {"IMAGIST_OFFLINE": "maybe"}, "x")


def test_the_command_line_goes_before_the_environment() -> None:
    values = fields_of("build", {"IMAGIST_JOBS": "3", "IMAGIST_TAG": "a,b"}, "x", "--jobs", "5")
    assert (values["jobs"], values["tag"]) == (5, ["a", "b"])


@pytest.mark.parametrize("off", ["0", "false", "no", "off", ""])
def test_switches_can_be_off_in_the_environment(off: str) -> None:
    assert fields_of("build", {"IMAGIST_OFFLINE": off}, "x")["offline"] is False


def test_a_wrong_value_in_the_environment_names_the_variable() -> None:
    with pytest.raises(RequestError, match="IMAGIST_PROGRESS"):
        fields_of("build", {"IMAGIST_PROGRESS": "loud"}, "x")


# Answers


def test_build_answers_with_one_digest_and_nothing_else(workshop: Shop) -> None:
    code, out, err = workshop.run("build", workshop.declare(), "--progress", "plain")
    assert code == 0
    assert DIGEST.fullmatch(out)
    assert "building linux/amd64" in err
    assert workshop.run("build", "image.yaml", "-q").err == ""


def test_build_answers_in_json(workshop: Shop) -> None:
    name = workshop.declare(archs="[x86_64, aarch64]")
    digest = workshop.build(name)
    answer = json.loads(workshop.run("build", name, "--json").out)
    assert answer["digest"] == digest
    assert list(answer["platforms"]) == ["linux/amd64", "linux/arm64"]
    for image in answer["platforms"].values():
        assert all({"digest", "size", "diff_id"} == set(layer) for layer in image["layers"])


def test_show_packages_tells_what_a_build_installs(workshop: Shop) -> None:
    name = workshop.declare("[hello, editor]")
    rows = json.loads(workshop.run("show", "packages", name, "--json").out)
    assert [row["name"] for row in rows] == sorted(
        ["demo-baselayout", "demo-libc", "editor-small", "hello", "libgreeting"]
    ) or {row["name"] for row in rows} == {
        "demo-baselayout", "demo-libc", "editor-small", "hello", "libgreeting",
    }  # fmt: skip
    hello = next(row for row in rows if row["name"] == "hello")
    built = Path("repo/x86_64/hello-1.1.0-r0.apk")
    assert hello["version"] == "1.1.0-r0"
    assert hello["arch"] == "x86_64"
    assert hello["origin"] == "hello"
    assert hello["license"] == "Apache-2.0"
    assert hello["platform"] == "linux/amd64"
    assert hello["size"] == built.stat().st_size
    assert hello["url"] == str(built)
    assert hello["checksum"].startswith("Q1")


def test_show_packages_in_words(workshop: Shop) -> None:
    name = workshop.declare("[hello]")
    preset = workshop.run("show", "packages", name, "--format", "name=version").out.split()
    assert "hello=1.1.0-r0" in preset
    pattern = workshop.run("show", "packages", name, "--format", "<{name}|{arch}>").out
    assert "<hello|x86_64>\n" in pattern
    assert "hello" in workshop.run("show", "packages", name).out
    wrong = workshop.run("show", "packages", name, "--format", "{nam}")
    assert (wrong.code, "`nam`" in wrong.err) == (2, True)
    both = workshop.run("show", "packages", workshop.declare(archs="[x86_64, aarch64]"))
    assert both.out.count("# linux/") == 2


def test_show_config_and_keys(workshop: Shop) -> None:
    name = workshop.declare(more="environment: {A: b}")
    shown = workshop.run("show", "config", name, "-p", "more-of-it")
    assert "more-of-it" in shown.out
    config = json.loads(workshop.run("show", "config", name, "--json").out)
    assert config["environment"] == {"A": "b"}
    assert workshop.run("show", "keys", name).out == ("demo-test-only.rsa.pub  every repository\n")
    [key] = json.loads(workshop.run("show", "keys", name, "--json").out)
    assert "BEGIN PUBLIC KEY" in key["pem"]


def test_why_tells_the_chain(workshop: Shop) -> None:
    name = workshop.declare("[hello]")
    out = workshop.run("why", name, "demo-libc").out
    assert out.index("hello") < out.index("libgreeting") < out.index("demo-libc")
    chains = json.loads(workshop.run("why", name, "demo-libc", "--json").out)
    assert list(chains) == ["linux/amd64"]
    absent = workshop.run("why", name, "demo-web")
    assert (absent.code, absent.out) == (3, "")
    assert "demo-web" in absent.err


def test_graphs_in_every_language(workshop: Shop) -> None:
    name = workshop.declare("[hello]")
    dot = workshop.run("graph", name).out
    assert dot.startswith("digraph")
    assert dot.count("{") == dot.count("}")
    assert "hello" in workshop.run("graph", name, "--format", "mermaid").out
    by_format = workshop.run("graph", name, "--format", "json").out
    assert json.loads(by_format) == json.loads(workshop.run("graph", name, "--json").out)


@pytest.mark.parametrize("verb", ["why", "graph"])
def test_a_lock_has_no_reasons(workshop: Shop, verb: str) -> None:
    name = workshop.declare()
    workshop.write('{"version": "v1", "config": {"name": "x", "checksum": "y"}}', "l.json")
    words = [verb, name, *(["hello"] if verb == "why" else []), "--lock", "l.json"]
    assert workshop.run(*words).code == 2


def test_the_schema_is_a_json_schema() -> None:
    code, out, _ = run("schema")
    schema = json.loads(out)
    assert code == 0
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "contents" in out


def test_validate_says_yes_or_no(workshop: Shop) -> None:
    digest = workshop.build(workshop.declare(), "-o", "layout")
    assert workshop.run("validate", "layout").out == f"{digest}\n"
    assert workshop.run("validate", digest[:17]).out == f"{digest}\n"
    assert workshop.run("validate", "oci:layout").code == 0
    answer = json.loads(workshop.run("validate", "layout", "--json").out)
    assert answer == {"digest": digest, "valid": True, "unchecked": []}
    largest = max(Path("layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = largest.read_bytes()
    largest.unlink()
    largest.write_bytes(data[:-1] + b"\xff")
    code, out, err = workshop.run("validate", "layout")
    assert (code, out) == (1, "")
    assert "layer" in err


@pytest.mark.parametrize("name", ["absent", "sha256:0123456789", "oci:absent", "image.yaml"])
def test_what_is_no_image_is_not_found(workshop: Shop, name: str) -> None:
    workshop.declare()
    code, out, err = workshop.run("validate", name)
    assert (code, out) == (3, "")
    assert err.startswith("error: ")


def test_the_cache_can_be_looked_at_and_emptied(workshop: Shop) -> None:
    digest = workshop.build(workshop.declare())
    info = json.loads(workshop.run("cache", "info", "--json").out)
    assert info["folder"] == str(workshop.store)
    assert info["blobs"] > 5
    assert info["images"] == 1
    assert f"blobs: {info['blobs']}\n" in workshop.run("cache", "info").out
    # Pruning wants the store alone, so it is done as a process of its own.
    gc.collect()
    words = ("cache", "prune", "--cache", workshop.store, "--json")
    kept = spawn(*words, cwd=workshop.folder)
    assert kept.code == 0, kept.err
    assert workshop.run("validate", digest).code == 0
    gc.collect()
    pruned = json.loads(spawn(*words, "--max-size", "0", cwd=workshop.folder).out)
    assert pruned["images"] == 1
    assert json.loads(workshop.run("cache", "info", "--json").out)["blobs"] == 0
    assert workshop.run("validate", digest).code == 3
    assert workshop.build("image.yaml") == digest


def test_another_folder_can_be_the_current_one(workshop: Shop) -> None:
    name = workshop.declare()
    digest = workshop.build(name)
    away = workshop.folder.parent
    before = spawn("-C", workshop.folder, "build", name, "--cache", workshop.store, cwd=away)
    after = spawn("build", name, "-C", workshop.folder, "--cache", workshop.store, cwd=away)
    assert before.out.strip() == after.out.strip() == digest
    absent = spawn("-C", "absent", "build", name, cwd=away)
    assert absent.code == 3
    assert "absent" in absent.err


def test_the_store_is_where_the_environment_says(workshop: Shop) -> None:
    name = workshop.declare()
    for variable, place in (("XDG_CACHE_HOME", "xdg/imagist"), ("IMAGIST_CACHE", "own")):
        value = str(workshop.folder / place.partition("/")[0])
        env = environment(**{variable: value})
        assert spawn("build", name, cwd=workshop.folder, env=env).code == 0
        assert (workshop.folder / place / "blobs").is_dir()


# The process


@pytest.mark.parametrize(("words", "code"), [(("schema",), 141), (("build", "--help"), 0)])
def test_a_reader_that_goes_away_is_no_error_of_ours(
    words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            command(*words), cwd=tmp_path, env=environment(), stdout=pipe, stderr=subprocess.PIPE
        )
    assert (done.returncode in {code, 141}, done.stderr) == (True, b"")


@pytest.mark.parametrize(
    ("flags", "env", "colored"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        ([], {"IMAGIST_COLOR": "always"}, True),
        (["--color", "never"], {"IMAGIST_COLOR": "always"}, False),
    ],
)
def test_colour_is_for_terminals_unless_asked_for(
    tmp_path: Path, flags: list[str], env: dict[str, str], colored: bool
) -> None:
    answer = spawn("build", "absent.yaml", *flags, cwd=tmp_path, env=environment(**env))
    assert answer.code == 3
    assert ("\x1b[" in answer.err) is colored
