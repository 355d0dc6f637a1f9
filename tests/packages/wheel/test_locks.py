"""Locks of every format give the same value; what is wrong with one is told all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from imagist.errors import NotFound, RequestError, Span
from imagist.packages.wheel.lock.find import find_lock, read_lock
from imagist.packages.wheel.lock.model import MAIN, File, Lock, Origin
from imagist.packages.wheel.lock.pdm import read_pdm
from imagist.packages.wheel.lock.poetry import read_poetry
from imagist.packages.wheel.lock.pylock import read_pylock
from imagist.packages.wheel.lock.requirements import read_requirements
from imagist.packages.wheel.target import marker_environment
from packages.wheel.targets import target

A, B = "a" * 64, "b" * 64

PYLOCK = f"""\
lock-version = "1.0"
requires-python = ">=3.11"
environments = ["sys_platform == 'linux'"]
extras = ["fast"]
dependency-groups = ["dev"]
default-groups = ["base"]
created-by = "hand"

[[packages]]
name = "alpha"
version = "1.0+local"
marker = "'fast' in extras"
index = "https://index.example/simple"
sdist = {{ name = "alpha-1.0+local.tar.gz", url = "https://files.example/x/alpha-1.0+local.tar.gz", hashes = {{ sha256 = "{B}" }} }}
wheels = [
    {{ url = "https://files.example/x/alpha-1.0%2Blocal-py3-none-any.whl", size = 7, hashes = {{ sha256 = "{A}" }} }},
]

[[packages]]
name = "beta"
directory = {{ path = "lib/beta", editable = true }}

[[packages]]
name = "gamma"
vcs = {{ type = "git", url = "https://code.example/gamma", commit-id = "c0ffee", subdirectory = "py" }}

[[packages]]
name = "delta"
archive = {{ path = "vendor/delta-2-py3-none-any.whl", hashes = {{ sha256 = "{B}" }} }}
"""

POETRY = f"""\
[[package]]
name = "Alpha_X"
version = "1.0"
optional = true
python-versions = ">=3.9"
groups = ["main", "dev"]
files = [
    {{file = "alpha_x-1.0-py3-none-any.whl", hash = "sha256:{A}"}},
]
[package.markers]
main = "extra == \\"fast\\""

[[package]]
name = "beta"
version = "2.0"
python-versions = "*"
groups = ["main"]
markers = "sys_platform == \\"linux\\""
files = [
    {{file = "beta-2.0.tar.gz", hash = "sha256:{B}"}},
]
[package.source]
type = "legacy"
url = "https://index.example/simple"
reference = "own"

[[package]]
name = "gamma"
version = "3.0"
files = []
[package.source]
type = "git"
url = "https://code.example/gamma"
reference = "main"
resolved_reference = "c0ffee"

[extras]
fast = ["alpha-x"]

[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = "0"
"""

PDM = f"""\
[metadata]
groups = ["default", "dev", "fast"]
strategy = ["inherit_metadata"]
lock_version = "4.5.1"
content_hash = "sha256:0"

[[metadata.targets]]
requires_python = "~=3.11"

[[package]]
name = "alpha"
version = "1.0"
requires_python = ">=3.9"
groups = ["default", "dev"]
marker = "sys_platform == \\"linux\\""
files = [{{file = "alpha-1.0-py3-none-any.whl", hash = "sha256:{A}"}}]

[[package]]
name = "alpha"
version = "1.0"
extras = ["more"]
groups = ["default"]
files = [{{file = "alpha-1.0-py3-none-any.whl", hash = "sha256:{A}"}}]

[[package]]
name = "beta"
version = "2.0"
groups = ["fast"]
files = [{{url = "https://files.example/beta-2.0-py3-none-any.whl", hash = "sha256:{B}"}}]
"""


def problems(read: Callable[[], object]) -> list[tuple[str, str]]:
    """Place and message of everything that reading finds wrong."""
    with pytest.raises((RequestError, NotFound)) as caught:
        read()
    return [(str(problem.where), problem.message) for problem in caught.value.problems]


def test_pylock() -> None:
    lock = read_pylock(PYLOCK.encode(), "pylock.toml")
    alpha, beta, gamma, delta = lock.packages
    assert (lock.requires_python, lock.extras, lock.groups) == (
        ">=3.11",
        ("fast",),
        ("dev", "base"),
    )
    assert lock.default_groups == ("base",)
    assert lock.environments == ('sys_platform == "linux"',)
    wheel, sdist = alpha.files
    assert wheel == File(
        "alpha-1.0+local-py3-none-any.whl",
        A,
        7,
        "https://files.example/x/alpha-1.0%2Blocal-py3-none-any.whl",
    )
    assert (sdist.name, sdist.is_wheel) == ("alpha-1.0+local.tar.gz", False)
    assert (alpha.marker, alpha.index) == ('"fast" in extras', "https://index.example/simple")
    assert beta.origin == Origin("directory", "lib/beta")
    assert gamma.origin == Origin("vcs", "https://code.example/gamma", "c0ffee")
    assert gamma.subdirectory == "py"
    assert delta.files == (
        File("delta-2-py3-none-any.whl", B, None, "vendor/delta-2-py3-none-any.whl"),
    )
    place = lock.place(beta)
    assert isinstance(place, Span)
    assert (place.line, place.text) == (20, 'name = "beta"')


def test_every_problem_of_a_pylock_is_told_with_its_place() -> None:
    text = PYLOCK.replace('name = "beta"', 'name = "Be_ta"').replace('commit-id = "c0ffee", ', "")
    found = problems(lambda: read_pylock(text.encode(), "p"))
    assert [place for place, _ in found] == ["p:20:1", "p:25:1"]
    assert "`packages[2].vcs.commit-id`" in found[1][1]


def test_a_pylock_without_sha256_is_refused() -> None:
    text = PYLOCK.replace(f'sha256 = "{A}"', f'md5 = "{"0" * 32}"')
    ((place, message),) = problems(lambda: read_pylock(text.encode(), "p"))
    assert place.startswith("p:16:")
    assert "has no SHA-256" in message


def test_a_later_pylock_is_refused() -> None:
    text = PYLOCK.replace('lock-version = "1.0"', 'lock-version = "2.0"')
    ((place, _),) = problems(lambda: read_pylock(text.encode(), "p"))
    assert place == "p:1:1"


def test_poetry() -> None:
    lock = read_poetry(POETRY.encode(), "poetry.lock")
    alpha, beta, gamma = lock.packages
    assert (lock.extras, lock.groups, lock.default_groups) == (("fast",), ("dev",), (MAIN,))
    assert lock.requires_python == ">=3.11"
    assert alpha.name == "alpha-x"
    assert alpha.groups == {"main": 'extra == "fast"', "dev": ""}
    assert not alpha.is_complete
    assert (beta.index, beta.requires_python) == ("https://index.example/simple", "")
    assert gamma.origin == Origin("vcs", "https://code.example/gamma", "c0ffee")


@pytest.mark.parametrize(
    ("words", "meant"), [("^3.11", "<4,>=3.11"), ("~3.11 || ~3.13", ""), ("*", ""), ("odd", "")]
)
def test_poetrys_own_words_for_pythons(words: str, meant: str) -> None:
    text = POETRY.replace('python-versions = ">=3.11"', f'python-versions = "{words}"')
    assert read_poetry(text.encode(), "l").requires_python == meant


def test_an_older_poetry_lock_does_not_say_enough() -> None:
    text = POETRY.replace('lock-version = "2.1"', 'lock-version = "2.0"')
    ((place, message),) = problems(lambda: read_poetry(text.encode(), "poetry.lock"))
    assert place == "poetry.lock:41:1"
    assert "2.0" in message


def test_files_without_hashes_are_told_all_at_once() -> None:
    text = POETRY.replace("sha256:", "md5:")
    found = problems(lambda: read_poetry(text.encode(), "l"))
    assert [place for place, message in found if "SHA-256" in message] == ["l:8:5", "l:20:5"]


def test_pdm() -> None:
    lock = read_pdm(PDM.encode(), "pdm.lock")
    alpha, beta = lock.packages
    assert lock.environments == ("python_full_version ~= '3.11'",)
    assert alpha.groups == {MAIN: "", "dev": ""}
    assert beta.files == (
        File(
            "beta-2.0-py3-none-any.whl",
            B,
            None,
            "https://files.example/beta-2.0-py3-none-any.whl",
        ),
    )
    assert lock.groups == lock.extras == ("dev", "fast")


def test_a_pdm_lock_of_another_strategy_does_not_say_enough() -> None:
    text = PDM.replace("inherit_metadata", "cross_platform")
    ((place, _),) = problems(lambda: read_pdm(text.encode(), "pdm.lock"))
    assert place == "pdm.lock:3:1"


REQUIREMENTS = f"""\
# made by hand
--index-url https://index.example/simple
--extra-index-url=https://more.example/simple
-f wheels
--require-hashes
Alpha.X[more]==1.0 ; python_version >= "3.8" \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via something
-r more/others.txt
delta @ https://files.example/delta-2.0-py3-none-any.whl#sha256={B}
-e ./lib
"""
OTHERS = f"beta===2.0 --hash sha256:{B} # tail\n-c ../constraints.txt\n"


def requirements(environments: Sequence[Mapping[str, str]] = (), **files: str) -> Lock:
    known = {
        "r/requirements.txt": files.get("main", REQUIREMENTS),
        "r/more/others.txt": files.get("others", OTHERS),
        "r/constraints.txt": files.get("constraints", "beta<3\nunknown==1\n"),
    }

    def read(path: str) -> bytes:
        try:
            return known[path].encode()
        except KeyError:
            raise FileNotFoundError(path) from None

    known_variables = {"TOKEN": "secret"}
    return read_requirements(read, "r/requirements.txt", known_variables, environments)


def test_requirements() -> None:
    lock = requirements()
    alpha, beta, delta, library = lock.packages
    assert (alpha.name, alpha.version, alpha.allowed) == ("alpha-x", "1.0", frozenset({A, B}))
    assert alpha.marker == 'python_version >= "3.8"'
    assert (beta.name, beta.version, beta.allowed) == ("beta", "2.0", frozenset({B}))
    assert delta.files == (
        File(
            "delta-2.0-py3-none-any.whl",
            B,
            None,
            "https://files.example/delta-2.0-py3-none-any.whl",
        ),
    )
    assert library.origin == Origin("directory", "r/lib")
    assert lock.indexes == ("https://index.example/simple",)
    assert lock.extra_indexes == ("https://more.example/simple",)
    assert lock.find_links == ("r/wheels",)
    assert str(lock.place(alpha)) == "r/requirements.txt:6:1"
    assert str(lock.place(beta)) == "r/more/others.txt:1:1"


def test_variables_are_put_in_and_not_shown() -> None:
    lock = requirements(main="--index-url https://x:${TOKEN}@h.example/ # ${OTHER}\n")
    assert lock.indexes == ("https://x:secret@h.example/",)
    with pytest.raises(RequestError) as caught:
        requirements(main="--index-url https://x:${TOKEN}@h.example/\n==${TOKEN}\n")
    where = caught.value.problems[0].where
    assert isinstance(where, Span)
    assert where.text == "==${TOKEN}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("alpha", "is not pinned"),
        ("alpha>=1", "is not pinned"),
        ("alpha==1.*", "is not pinned"),
        ("alpha==1.0", "has no SHA-256"),
        (f"alpha==1.0 --hash=md5:{'0' * 32}", "has no SHA-256"),
        (f"alpha==1.0 --hash=md5:{'0' * 32}", "00` is of another kind"),
        (f"alpha==1.0 --hash=sha256:{'0' * 63}", "has 63 hex digits, not 64"),
        (f"alpha==1.0 --hash=sha256:{'0' * 63}z", "holds `z`, which is no hex digit"),
        ("https://files.example/alpha-1.0-py3-none-any.whl", "has no SHA-256"),
        ("?", "is no requirement"),
        ("--no-binary :all:", "asks for packages to be built"),
        ("--frobnicate", "means nothing here"),
        (f"alpha==1 --hash=sha256:{A} --global-option=x", "means nothing here"),
    ],
)
def test_what_cannot_be_trusted_is_refused(line: str, said: str) -> None:
    text = f"\n  {line}\nbeta==3 --hash=sha256:{A}\nomega --hash=sha256:{A}\n"
    found = problems(lambda: requirements(main=text))
    assert found[0][0] == "r/requirements.txt:2:3"
    assert said in found[0][1]
    assert found[-1] == ("r/requirements.txt:4:1", "`omega` is not pinned to a version")


def test_a_list_without_hashes_is_one_error() -> None:
    """What is for another system is not told, nor needs it a hash where others have one."""
    here = [marker_environment(target()), marker_environment(target("arm64"))]
    lines = [f"p{n}==1" for n in range(9)] + ["loose>=1", "https://h.example/w-1-py3-none-any.whl"]
    others = ["w==1; sys_platform == 'win32'", "old; python_version < '3'", "q==1; extra == 'x'"]
    arm = "arm==1 ; platform_machine == 'aarch64'"

    def told(*lines: str) -> list[tuple[str, str]]:
        return problems(lambda: requirements(main="\n".join(lines), environments=here))

    ((place, message),) = told("# our list", *lines, *others, arm)
    assert place == "r/requirements.txt:2:1"
    assert message == (
        "12 of 15 requirements have no SHA-256 hash, and 1 of them no version: "
        "`p0` (requirements.txt:2), `p1` (requirements.txt:3), `p2` (requirements.txt:4) and 9 more"
    )
    assert told("a==1", "b==1 ; os_name ~= 'x'")[0][1].endswith(
        "hash: `a` (requirements.txt:1), `b` (requirements.txt:2)"
    )
    locked = requirements(main="\n".join([*others, f"a==1 --hash=sha256:{A}"]), environments=here)
    assert [str(package) for package in locked.packages] == ["a 1"]


def test_a_constraint_that_excludes_is_a_contradiction() -> None:
    ((place, message),) = problems(lambda: requirements(constraints="beta<2"))
    assert place == "r/constraints.txt:1:1"
    assert "beta 2.0" in message


def test_a_file_that_is_named_and_absent_is_told_where_it_is_named() -> None:
    ((place, message),) = problems(lambda: requirements(main="-r absent.txt"))
    assert (place, message) == ("r/requirements.txt:1:1", "there is no r/absent.txt")


def test_files_that_name_each_other_are_read_once() -> None:
    lock = requirements(others="-r ../requirements.txt\n" + OTHERS)
    assert len(lock.packages) == 4


def test_the_lock_of_a_folder() -> None:
    assert find_lock({"requirements.txt", "poetry.lock", "x"}) == "poetry.lock"
    assert find_lock({"requirements.in"}) is None


def test_a_lock_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "pylock.prod.toml").write_text(PYLOCK)
    assert len(read_lock(tmp_path / "pylock.prod.toml").packages) == 4
    with pytest.raises(NotFound, match="there is no"):
        read_lock(tmp_path / "pylock.toml")
    with pytest.raises(RequestError, match="is no name of a lock"):
        read_lock(tmp_path / "Pipfile.lock")
