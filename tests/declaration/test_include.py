"""Loading declarations: including, merging, places, cycles."""

from __future__ import annotations

import msgspec
import pytest

from imagist.declaration.include import LoadedDeclaration, load_declaration
from imagist.declaration.model import Certificates, Declaration, Entrypoint, File
from imagist.errors import ImagistError, NotFound, RequestError


def load(
    files: dict[str, str], path: str = "main.yaml", include_paths: tuple[str, ...] = ()
) -> LoadedDeclaration:
    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name].encode()

    return load_declaration(read, path, include_paths)


def merge(included: str, main: str) -> Declaration:
    return load({"main.yaml": f"include: base.yaml\n{main}", "base.yaml": included}).declaration


def test_what_is_loaded_without_includes() -> None:
    loaded = load({"main.yaml": "cmd: a\n"})
    assert loaded.declaration == Declaration(cmd="a")
    assert [(file.path, file.data) for file in loaded.files] == [("main.yaml", b"cmd: a\n")]


def test_scalars_and_whole_structures_are_inherited_only_where_absent() -> None:
    base = (
        "cmd: base\nwork-dir: /base\nentrypoint: {command: base, services: {a: b}}\n"
        "archs: [amd64, arm64]\nlayering: {strategy: origin}\ncertificates: {providers: [p]}\n"
        "vcs-url: https://base\n"
    )
    merged = merge(base, "cmd: main\nentrypoint: {shell-fragment: main}\narchs: [arm64]\n")
    assert merged.cmd == "main"
    assert merged.work_dir == "/base"
    assert merged.entrypoint == Entrypoint(shell_fragment="main")
    assert merged.archs == ("arm64",)
    assert merged.layering is not None
    assert merged.layering.strategy == "origin"
    assert merged.certificates == Certificates(providers=("p",))
    assert merged.vcs_url == "https://base"
    assert merge(base, "certificates: {}\n").certificates == Certificates()


def test_lists_are_joined_with_the_included_first() -> None:
    merged = merge(
        "contents: {packages: [a, b], keyring: [k1]}\nvolumes: [/a]\nports: ['1']\n"
        "accounts: {users: [{username: a, uid: 1}], run-as: a}\n"
        "paths: [{path: /a, type: directory}]\n",
        "contents: {packages: [b, c], keyring: [k2]}\nvolumes: [/b]\nports: ['2']\n"
        "accounts: {users: [{username: b, uid: 2}]}\n"
        "paths: [{path: /b, type: directory}]\n",
    )
    assert merged.contents.packages == ("a", "b", "b", "c")
    assert merged.contents.keyring == ("k1", "k2")
    assert merged.volumes == ("/a", "/b")
    assert merged.ports == ("1", "2")
    assert [user.username for user in merged.accounts.users] == ["a", "b"]
    assert merged.accounts.run_as == "a"
    assert [mutation.path for mutation in merged.paths] == ["/a", "/b"]


def test_mappings_are_joined_by_key() -> None:
    merged = merge(
        "environment: {A: base, B: base}\nlabels: {x: base}\n"
        "contents: {platform_packages: {amd64: [a], arm64: [b]}}\n",
        "environment: {B: main, C: main}\ncontents: {platform_packages: {amd64: [c]}}\n",
    )
    assert merged.environment == {"A": "base", "B": "main", "C": "main"}
    assert merged.labels == {"x": "base"}
    assert merged.contents.platform_packages == {"amd64": ("a", "c"), "arm64": ("b",)}


FULL = """
contents:
  repositories: [r]
  build_repositories: [b]
  runtime_repositories: [t]
  keyring: [k]
  runtime_keyring: []
  packages: [p]
  platform_packages: {amd64: [q]}
  baseimage: {image: i, apkindex: x}
entrypoint: {command: c}
cmd: c
stop-signal: SIGTERM
work-dir: /w
accounts: {run-as: "1"}
archs: [amd64]
environment: {A: b}
files: [{path: /f, content: x}]
vcs-url: u
annotations: {a: b}
labels: {l: m}
ports: ["80"]
healthcheck: {test: x}
volumes: [/v]
layering: {strategy: package}
format: tar
"""
"""Every key that can be combined with the others."""
SEPARATE = "paths: [{path: /p, type: directory}]\ncertificates: {providers: [p]}\n"


@pytest.mark.parametrize("text", [FULL, SEPARATE])
def test_everything_is_inherited_by_an_empty_declaration(text: str) -> None:
    written = load({"main.yaml": text}).declaration
    inherited = merge(text, "")
    assert msgspec.structs.replace(inherited, include="") == written


def test_the_texts_of_the_test_above_cover_every_field() -> None:
    covered = set()
    for text in (FULL, SEPARATE):
        declaration = load({"main.yaml": text}).declaration
        for entry in msgspec.structs.fields(Declaration):
            if getattr(declaration, entry.name) != getattr(Declaration(), entry.name):
                covered.add(entry.name)
    assert {entry.name for entry in msgspec.structs.fields(Declaration)} - covered == {"include"}


def test_includes_nest_and_files_are_kept_in_the_order_read() -> None:
    loaded = load(
        {
            "main.yaml": "include: b.yaml\ncmd: main\ncontents: {packages: [m]}",
            "b.yaml": "include: c.yaml\ncmd: b\nwork-dir: /b\ncontents: {packages: [b]}",
            "c.yaml": "cmd: c\nstop-signal: SIGINT\ncontents: {packages: [c]}",
        }
    )
    declaration = loaded.declaration
    assert (declaration.cmd, declaration.work_dir, declaration.stop_signal) == (
        "main",
        "/b",
        "SIGINT",
    )
    assert declaration.contents.packages == ("c", "b", "m")
    assert [file.path for file in loaded.files] == ["main.yaml", "b.yaml", "c.yaml"]


def test_values_keep_their_places_through_merging() -> None:
    loaded = load(
        {
            "main.yaml": "include: b.yaml\ncontents:\n  packages:\n    - m\nenvironment: {A: x}\n",
            "b.yaml": "contents:\n  packages: [b]\n  keyring: [k]\nenvironment: {B: y}\ncmd: z\n",
        }
    )
    places = {
        "contents.packages[0]": "b.yaml:2:14",
        "contents.packages[1]": "main.yaml:4:7",
        "contents.keyring[0]": "b.yaml:3:13",
        "environment.A": "main.yaml:5:18",
        "environment.B": "b.yaml:4:18",
        "cmd": "b.yaml:5:6",
        "nothing": "main.yaml:1:1",
    }
    assert {path: str(loaded.span_of(path)) for path in places} == places


def test_an_included_file_is_looked_for_in_turn() -> None:
    files = {"d/main.yaml": "include: b.yaml\n", "d/b.yaml": "cmd: beside\n"}
    assert load(files, "d/main.yaml").declaration.cmd == "beside"
    files["inc/b.yaml"] = "cmd: path\n"
    assert load(files, "d/main.yaml", ("none", "inc")).declaration.cmd == "path"
    files["b.yaml"] = "cmd: as written\n"
    assert load(files, "d/main.yaml", ("inc",)).declaration.cmd == "as written"


def test_sources_are_relative_to_the_file_that_names_them() -> None:
    merged = load(
        {
            "main.yaml": "include: d/b.yaml\nfiles: [{path: /m, source: m}]\n",
            "d/b.yaml": "files: [{path: /b, source: b}, {path: /c, source: /c}]\n",
        }
    ).declaration
    assert merged.files == (
        File(path="/b", source="d/b"),
        File(path="/c", source="/c"),
        File(path="/m", source="m"),
    )


def test_a_missing_file_is_reported_where_it_was_asked_for() -> None:
    with pytest.raises(NotFound) as caught:
        load({"main.yaml": "cmd: a\ninclude: b.yaml\n"}, include_paths=("i",))
    [problem] = caught.value.problems
    assert str(problem.where) == "main.yaml:2:10"
    assert problem.help == "looked for b.yaml, i/b.yaml"
    with pytest.raises(NotFound, match=r"there is no declaration main\.yaml"):
        load({})


@pytest.mark.parametrize(
    "files",
    [
        {"main.yaml": "include: main.yaml\n"},
        {"main.yaml": "include: ./x/../main.yaml\n", "./x/../main.yaml": "include: main.yaml\n"},
        {"main.yaml": "include: b.yaml\n", "b.yaml": "include: main.yaml\n"},
    ],
)
def test_cycles_are_refused(files: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="includes itself"):
        load(files)


def test_a_long_chain_is_refused() -> None:
    files = {f"{n}.yaml": f"include: {n + 1}.yaml\n" for n in range(100)}
    with pytest.raises(RequestError, match="more than 16 files"):
        load(files, "0.yaml")


def test_errors_of_all_files_are_reported_together_in_order() -> None:
    with pytest.raises(RequestError) as caught:
        load(
            {
                "main.yaml": "foo: 1\ninclude: b.yaml\ncmd: [x]\ncmd: y\n",
                "b.yaml": "bar: 1\nbaz: 2\n",
            }
        )
    assert [str(problem.where) for problem in caught.value.problems] == [
        "main.yaml:1:1", "main.yaml:3:6", "main.yaml:4:1", "b.yaml:1:1", "b.yaml:2:1",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_declaration_is_refused(text: str) -> None:
    with pytest.raises(ImagistError, match="is empty"):
        load({"main.yaml": text})


def test_repositories_lose_their_trailing_slashes() -> None:
    contents = load(
        {
            "main.yaml": "contents: {repositories: [https://a/b//, '@t c/'], build_repositories: [d/]}"
        }
    ).declaration.contents
    assert contents.repositories == ("https://a/b", "@t c")
    assert contents.build_repositories == ("d",)
