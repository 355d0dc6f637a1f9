"""What must be in an image for its container to start: the program, and what Python is asked for.

Only what a command states is known here: `python -m module`, `python file.py`, a script of
`[project.scripts]`. What a program imports, or takes from its arguments, is its own knowledge.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import Span
from imagist.lastmile.projectimage import find_variables, find_working_folder
from imagist.oci.manifest import RunConfig
from imagist.packages.wheel.target import Target

_PYTHON: Final = re.compile(r"python(3(\.\d+)?t?)?")
_MODULE: Final = r"-[bBdEiIOPqRsSuvx]*m"
"""Flags of Python after which a module is named."""
_WITH_VALUE: Final = frozenset(("-W", "-X", "--check-hash-based-pycs"))

Where = Callable[[], Span | str | None]


class Need(msgspec.Struct, frozen=True):
    """A file, and no folder, that must be there, at any one of some places."""

    missing: str
    """What is said where it is not."""
    help: str
    where: Where
    """The place of what asks for it."""
    paths: tuple[str, ...] = ()
    """Relative to the root, as everything here."""
    beginnings: tuple[str, ...] = ()
    """Any path that begins so will do, too."""
    is_module: bool = False
    is_run: bool = True
    """Whether no container starts without it."""


def find_needs(loaded: LoadedProject, run: RunConfig, target: Target | None) -> Iterator[Need]:
    """What entrypoint and command of a project need; nothing where the base's own are kept.

    Args:
        loaded: the project.
        run: how the base is run.
        target: the Python of the project's environment, if it has one.
    """
    entrypoint, command = loaded.command()
    if not entrypoint:
        return
    variables, folder = find_variables(loaded, run), find_working_folder(loaded, run)
    where = partial(_place_of_command, loaded)
    program, *arguments = (*entrypoint, *command)
    yield _need_program(program, folder, variables["PATH"], where, is_python=target is not None)
    if target is None:
        return
    paths = [_inside(folder, each) for each in variables.get("PYTHONPATH", "").split(":") if each]
    paths.append(target.site_packages.strip("/"))
    for name, called in loaded.metadata.scripts.items():
        is_run = name == loaded.script()
        if not called:  # Poetry's own form, which its build backend knows
            continue
        if loaded.mode == "wheel" or (loaded.mode == "source" and is_run):
            place = partial(loaded.where_in_pyproject, f"project.scripts.{name}")
            yield replace(_need_script(name, called, paths, place), is_run=is_run)
    where_python, name = posixpath.split(program)
    if where_python in {"", f"{target.prefix}/bin"} and _PYTHON.fullmatch(name):
        library = posixpath.dirname(posixpath.dirname(target.interpreter))
        standard = _inside(library, f"lib/{posixpath.basename(posixpath.dirname(paths[-1]))}")
        yield from _need_of_python(arguments, folder, [*paths, standard], where)


def _need_program(program: str, folder: str, path: str, where: Where, *, is_python: bool) -> Need:
    folders = [folder] if "/" in program else path.split(":")
    said = "neither in the environment nor in the base" if is_python else "not in the image"
    brings = "require what brings it, and lock again" if is_python else "add it with `files`"
    return Need(
        f"a container would run `{program}`, which is {said}",
        f"{brings}; or let `entrypoint` name what is there",
        where,
        tuple(_inside(each, program) for each in folders),
    )


def _need_script(name: str, called: str, folders: Sequence[str], where: Where) -> Need:
    module = called.partition(":")[0].strip()
    files = [f"{folder}/{module.replace('.', '/')}" for folder in folders]
    return Need(
        f"the script `{name}` calls `{called}`, and there is no module `{module}` in "
        + _listed(folders),
        "correct the script; or see that the build backend packs the module",
        where,
        beginnings=tuple(f"{file}{end}" for file in files for end in (".", "/__init__.")),
        is_module=True,
    )


def _need_of_python(
    arguments: Sequence[str], folder: str, folders: Sequence[str], where: Where
) -> Iterator[Need]:
    """What Python itself is asked to run: a module, or a file."""
    words = iter(arguments)
    for word in words:
        if re.fullmatch(_MODULE, word):
            yield _need_module(next(words, ""), [_inside(folder, "."), *folders], where)
        elif word in _WITH_VALUE:
            next(words, "")
            continue
        elif not word.startswith("-"):
            file = _inside(folder, word)
            yield Need(
                f"a container would run `python {word}`, and there is no /{file}, nor "
                "a __main__.py in a folder of that name",
                "add it with `files`, or name what is there",
                where,
                (file,),
                (f"{file}/__main__.",),
            )
        elif word[1:2] not in {"c", "-", ""}:
            continue
        return


def _need_module(module: str, folders: Sequence[str], where: Where) -> Need:
    path = module.replace(".", "/")
    files = [f"{folder}/{path}".lstrip("/") for folder in folders]
    return Need(
        f"a container would run `python -m {module}`, and there is neither {path}.py nor "
        f"{path}/__main__.py in {_listed(folders)}",
        "require the package that has it, and lock again; or name another module",
        where,
        beginnings=tuple(f"{file}{end}" for file in files for end in (".", "/__main__.")),
        is_module=True,
    )


def _place_of_command(loaded: LoadedProject) -> Span | str | None:
    """Where it is said what a container runs."""
    said = loaded.where("entrypoint") or loaded.where("command")
    script = "" if said else loaded.script()
    return loaded.where_in_pyproject(f"project.scripts.{script}") if script else said


def _inside(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, path)).strip("/")


def _listed(folders: Sequence[str]) -> str:
    return ", ".join(f"/{folder}" for folder in dict.fromkeys(folders))
