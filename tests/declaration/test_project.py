"""A Python project says of its image what it must, in pyproject.toml or beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from imagist.declaration.model import Declaration
from imagist.declaration.project import Project, ProjectFile
from imagist.declaration.projectfile import LoadedProject, load_project
from imagist.declaration.schema import field_texts, format_schema, project_schema
from imagist.errors import RequestError

PLAIN = """\
[build-system]
requires = ["hatchling"]

[project]
name = "shop"
version = "1.0"
requires-python = ">=3.12"
dependencies = ["flask>=3"]
scripts = { shop = "shop:main" }

[project.optional-dependencies]
fast = ["uvloop"]

[dependency-groups]
dev = ["pytest"]
all = [{ include-group = "dev" }]
"""


def load(files: Mapping[str, str], names: Sequence[str] = ()) -> LoadedProject:
    return load_project(
        lambda path: files[path].encode() if path in files else absent(path), "app", names=names
    )


def absent(path: str) -> bytes:
    raise FileNotFoundError(path)


def project(settings: str = "", text: str = PLAIN) -> LoadedProject:
    table = f"\n[tool.imagist]\n{settings}" if settings else ""
    return load({"app/pyproject.toml": text + table})


def problems(settings: str, text: str = PLAIN) -> list[tuple[str, str, str | None]]:
    """Line and column below `[tool.imagist]`, message and help of all that is wrong."""
    with pytest.raises(RequestError) as caught:
        project(settings, text)
    above = text.count("\n") + 2
    found = []
    for problem in caught.value.problems:
        line, column = getattr(problem.where, "line", 0), getattr(problem.where, "column", 0)
        found.append((f"{line - above}:{column}", problem.message, problem.help))
    return found


def test_a_project_says_enough_without_any_setting() -> None:
    loaded = project()
    assert loaded.project == Project()
    assert (loaded.mode, loaded.base_kind) == ("wheel", "")
    assert loaded.command() == (("/opt/venv/bin/shop",), ())
    metadata = loaded.metadata
    assert (metadata.name, metadata.version, metadata.requires_python) == ("shop", "1.0", ">=3.12")
    assert metadata.dependencies == ("flask>=3",)
    assert metadata.extras == {"fast": ("uvloop",)}
    assert metadata.groups["all"] == ({"include-group": "dev"},)
    assert [file.path for file in loaded.files] == ["app/pyproject.toml"]


def test_requirements_are_those_of_the_extras_and_groups_that_are_asked_for() -> None:
    assert project().requirements() == ("flask>=3",)
    loaded = project('extras = ["FAST"]\ngroups = ["all"]')
    assert loaded.requirements() == ("flask>=3", "uvloop", "pytest")


def test_everything_can_be_said() -> None:
    loaded = project(
        """\
base = "docker.example/python:3.12-slim"
platforms = ["linux/amd64", "arm64"]
entrypoint = "shop --bind '0.0.0.0:80'"
command = ["--workers", "2"]
prefix = "/app/env"
user = 65532
ports = [8080, "53/udp"]
extras = ["Fast"]
groups = ["dev"]
mode = "wheel"
stop-signal = "SIGINT"
work-dir = "/app"
ignore = ["*.md"]
bytecode = true
env.MODE = "prod"
env.DEBUG = false

[tool.imagist.labels]
"org.opencontainers.image.title" = "Shop"

[[tool.imagist.files]]
source = "conf"
path = "/etc/shop/"
permissions = 0o640
exclude = ["*.dev"]
"""
    )
    found = loaded.project
    assert loaded.base_kind == "registry"
    assert loaded.command() == (
        ("/app/env/bin/shop", "--bind", "0.0.0.0:80"),
        ("--workers", "2"),
    )
    assert (found.user, found.ports, found.mode) == ("65532", ("8080", "53/udp"), "wheel")
    assert (found.env, found.bytecode) == ({"MODE": "prod", "DEBUG": "false"}, True)
    assert found.labels == {"org.opencontainers.image.title": "Shop"}
    assert found.files == (
        ProjectFile(source="conf", path="/etc/shop/", permissions=0o640, exclude=("*.dev",)),
    )


def test_a_base_may_be_written_inline_or_lie_in_a_file() -> None:
    inline = project('base.contents.packages = ["python-3.12"]\nbase.archs = ["arm64"]\n')
    assert isinstance(inline.project.base, Declaration)
    assert inline.project.base.contents.packages == ("python-3.12",)
    assert inline.base_kind == "inline"
    assert project('base = "base.yaml"').base_kind == "file"
    assert project('base = "./layout"').base_kind == "layout"
    ((place, message, _),) = problems('base.contents.packages = ["a b"]\n')
    assert (place, message) == ("1:27", "`a b` does not name a package")


def test_folders_without_pyproject_use_yaml() -> None:
    files = {"app/imagist.yaml": "entrypoint: [python, main.py]\nports: [80]\n"}
    loaded = load(files)
    assert loaded.command() == (("python", "main.py"), ())
    assert loaded.mode == "none"
    assert load(files, names=["requirements.txt"]).mode == "source"
    assert load({}).project == Project()
    beside = load({"app/pyproject.toml": PLAIN, "app/imagist.yaml": "groups: [dev]\n"})
    assert beside.project.groups == ("dev",)
    with pytest.raises(RequestError, match="both say what the image is"):
        load(
            {
                "app/pyproject.toml": "[tool.imagist]\n",
                "app/imagist.yaml": "{}",
            }
        )


def test_everything_that_is_wrong_is_told_at_once_with_its_place() -> None:
    found = problems(
        """\
entripoint = "shop"
platforms = ["windows/amd64"]
extras = ["fsat"]
groups = ["prod"]
ports = [
    "http",
]
env = { "A=B" = "1" }
prefix = "venv"
mode = "editable"
command = "'"
files = [{ source = "../x", path = "etc" }, { path = "/x" }]
"""
    )
    assert [(place, message) for place, message, _ in found] == [
        ("1:1", "unknown key `entripoint`"),
        ("10:8", "`mode` must be one of none, source, wheel, not `editable`"),
        ("2:14", "`windows/amd64` is not a platform that imagist builds for"),
        ("11:11", "`command` cannot be split into words: a quote is not closed"),
        ("3:11", "`fsat` is not one of the project's extras"),
        ("4:11", "`prod` is not one of the project's groups"),
        ("9:10", "`prefix` must begin with /: `venv`"),
        ("6:5", "`http` is not a port"),
        ("8:17", "`A=B` cannot name a variable"),
        ("12:21", "`../x` is outside the project"),
        ("12:36", "`path` must begin with /: `etc`"),
        ("12:45", "`files[1]` has no `source`"),
    ]
    advice = [told for _, _, told in found]
    assert advice[0] == "did you mean `entrypoint`?"
    assert advice[4] == "did you mean `fast`?"


WRONG = [
    ("base = 5", "must be text"),
    ("packages = 'libpq5'", "must be a list"),
    ("platforms = 'amd64'", "must be a list"),
    ("python = '3.x'", "`3.x` is no version of Python"),
    ("python = []", "must be text"),
    ("libc = 2.36", "must be text"),
    ("libc = 'uclibc'", "`uclibc` is no libc"),
    ("interpreter = 'python'", "must begin with /"),
    ("lock = true", "must be text"),
    ("extras = 'fast'", "must be a list"),
    ("groups = {}", "must be a list"),
    ("sdists = [5]", "must be text"),
    ("shared = 'x'", "must be a list"),
    ("mode = true", "must be one of"),
    ("prefix = 5", "must be text"),
    ("bytecode = 'yes'", "must be true or false"),
    ("entrypoint = 5", "must be text"),
    ("command = {}", "must be text"),
    ("user = ['a']", "must be text"),
    ("user = -5", "`-5` is nobody that a container can run as"),
    ("user = 'a b'", "`a b` is nobody that a container can run as"),
    ("user = 'a:'", "`a:` is nobody that a container can run as"),
    ("user = 4294967295", "is nobody that a container can run as"),
    ("work-dir = 5", "must be text"),
    ("work-dir = 'app'", "must begin with /"),
    ("env = ['A=1']", "must be a table"),
    ("ports = 80", "must be a list"),
    ("ports = [0]", "`0` is not a port"),
    ("ports = ['80/http']", "`80/http` is not a port"),
    ("volumes = [1]", "must be text"),
    ("stop-signal = 15", "must be text"),
    ("stop-signal = 'SIGFOO'", "`SIGFOO` is not a signal"),
    ("stop-signal = '99'", "`99` is not a signal"),
    ("labels = 5", "must be a table"),
    ("annotations = []", "must be a table"),
    ("healthcheck = 'x'", "must be a table"),
    ("healthcheck = { interval = '5s' }", "a healthcheck without `test` does nothing"),
    ("healthcheck = { test = ['curl'] }", "a test cannot begin with `curl`"),
    ("healthcheck = { test = 'x', interval = 'soon' }", "soon"),
    ("binary = 'x'", "must be a table"),
    ("binary = { amd64 = 1 }", "must be text"),
    ("binary-path = 1", "must be text"),
    ("files = 'x'", "must be a list"),
    ("files = ['x']", "must be a table"),
    ("files = [{ source = 1 }]", "must be text"),
    ("files = [{ source = 'a', path = '/a', uid = '1' }]", "must be a whole number"),
    ("files = [{ source = 'a', path = '/a', permissions = 755 }]", "755 is decimal"),
    (
        "files = [{ source = 'a', path = '/a', capabilities = 'fly' }]",
        "names no file capabilities",
    ),
    ("ignore = 'x'", "must be a list"),
    ("base = { archs = 'amd64' }", "must be a list"),
    ("base = { contents = { pycache = 'no' } }", "must be true or false"),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_every_key_refuses_what_is_none_of_its_values(line: str, said: str) -> None:
    found = problems(line)
    assert any(said in message for _, message, _ in found), found
    assert all(place.startswith("1:") for place, _, _ in found)


def test_one_program_is_told_to_be_one_for_each_platform() -> None:
    """In the syntax of the file."""
    [(_, _, advice)] = problems('binary = "dist/hc"')
    assert advice == 'write { "linux/amd64" = "dist/hc" }'
    with pytest.raises(RequestError) as caught:
        load({"app/imagist.yaml": "binary: dist/hc\n"})
    assert caught.value.problems[0].help == "write {linux/amd64: dist/hc}"


def test_an_unknown_key_that_is_like_none_lists_those_there_are() -> None:
    [(place, message, advice)] = problems("zzzz = 1")
    assert (place, message) == ("1:1", "unknown key `zzzz`")
    assert str(advice).startswith("one of `base`, `packages`, `platforms`, ")


def test_a_key_of_images_alone_is_told_where_it_belongs() -> None:
    [(_, message, advice)] = problems("paths = []")
    assert message == "unknown key `paths`"
    assert advice == "`paths` is for images: write it into the declaration of the base (base.yaml)"
    assert problems("path = []")[0][2] != advice


def test_the_table_must_be_one() -> None:
    with pytest.raises(RequestError, match=r"`tool\.imagist` must be a table") as caught:
        project(text="[tool]\nimagist = 5\n")
    assert str(caught.value.problems[0].where) == "app/pyproject.toml:2:11"


def test_every_key_is_tried_with_something_wrong() -> None:
    names = {line.partition(" ")[0] for line, _ in WRONG}
    assert names == {entry.encode_name for entry in msgspec.structs.fields(Project)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[project]\nname = "x"\nscripts = { a = "m:a", b = "m:b" }\n', "several scripts: a, b"),
        ('[project]\nname = "x"\n', "nothing says what a container runs"),
    ],
)
def test_a_project_without_an_entry_point_is_told_how_to_get_one(text: str, said: str) -> None:
    loaded = project(text=text)
    assert loaded.mode == "source"
    with pytest.raises(RequestError, match=said) as caught:
        loaded.command()
    assert "entrypoint = " in (caught.value.problems[0].help or "")
    assert project('entrypoint = "/bin/b"', text=text).command() == (("/bin/b",), ())


def test_a_script_of_a_project_that_is_copied_calls_what_it_would() -> None:
    loaded = project('mode = "source"\nentrypoint = "shop -v"')
    program = "import sys; from shop import main; sys.exit(main())"
    assert loaded.command()[0] == ("/opt/venv/bin/python", "-c", program, "-v")


def test_a_script_of_the_projects_name_goes_before_others() -> None:
    text = '[tool.poetry]\nname = "b"\n[tool.poetry.scripts]\na = "m:a"\nb = "m:b"\n'
    assert project('mode = "wheel"', text=text).command() == (("/opt/venv/bin/b",), ())


def test_the_schema_describes_every_field() -> None:
    schema = project_schema()
    for kind in (Project, ProjectFile):
        definition = schema["$defs"][kind.__name__]
        assert definition["additionalProperties"] is False
        for entry in msgspec.structs.fields(kind):
            assert definition["properties"][entry.encode_name]["description"]
            assert field_texts()[kind.__name__][entry.name].endswith((".", ")", "`"))
    assert json.loads(format_schema(schema)) == schema
    ports: Any = schema["$defs"]["Project"]["properties"]["ports"]
    assert ports["items"]["type"] == ["string", "number", "boolean"]
