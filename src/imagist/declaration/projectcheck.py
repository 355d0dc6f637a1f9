"""What a project must satisfy beyond its types; all that is wrong, with its places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from imagist.declaration.checks import (
    check_healthcheck,
    check_mode,
    check_running,
    check_user,
    check_words,
)
from imagist.declaration.model import Declaration
from imagist.errors import Problem, RequestError
from imagist.oci.platform import parse_platform
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.target import parse_libc, parse_python

if TYPE_CHECKING:
    from imagist.declaration.projectfile import LoadedProject


def check_project(loaded: LoadedProject) -> list[Problem]:
    """All that can be known to be wrong without looking at files or at the base."""
    return _Checker(loaded).check()


class _Checker:
    def __init__(self, loaded: LoadedProject) -> None:
        self.project = loaded.project
        self.metadata = loaded.metadata
        self.span_of = loaded.span_of
        self.problems: list[Problem] = []

    def report(self, path: str, message: str, advice: str | None = None) -> None:
        self.problems.append(Problem(message, self.span_of(path) or path, advice))

    def check(self) -> list[Problem]:
        project = self.project
        self.check_base()
        self.check_platforms()
        for key in ("entrypoint", "command"):
            value = getattr(project, key)
            check_words(self.report, key, value if isinstance(value, str) else "")
        self.check_known("extras", project.extras, self.metadata.extras)
        self.check_known("groups", project.groups, self.metadata.groups)
        for key in ("prefix", "interpreter", "binary_path"):
            value = getattr(project, key)
            if value and not value.startswith("/"):
                name = key.replace("_", "-")
                self.report(name, f"`{name}` must begin with /: `{value}`")
        if not project.prefix.strip("/") or ".." in project.prefix.split("/"):
            self.report("prefix", f"`{project.prefix}` cannot hold a virtual environment")
        check_running(
            self.report,
            stop_signal=project.stop_signal,
            work_dir=project.work_dir,
            volumes=project.volumes,
            ports=project.ports,
            variables=("env", project.env),
        )
        if project.healthcheck:
            check_healthcheck(self.report, project.healthcheck)
        check_user(self.report, "user", project.user)
        self.check_by(parse_python, "python", project.python)
        self.check_by(parse_libc, "libc", project.libc)
        self.check_files()
        return self.problems

    def check_base(self) -> None:
        base = self.project.base
        if isinstance(base, Declaration):
            from imagist.declaration.validate import check_declaration  # noqa: PLC0415 - large

            try:
                check_declaration(base, lambda path: self.span_of(f"base.{path}"))
            except RequestError as error:
                self.problems += error.problems

    def check_platforms(self) -> None:
        named = [(f"platforms[{i}]", name) for i, name in enumerate(self.project.platforms)]
        for path, name in [*named, *((f"binary.{name}", name) for name in self.project.binary)]:
            self.check_by(parse_platform, path, name)

    def check_by(self, parse: Callable[[str], object], path: str, text: str) -> None:
        """Whoever reads a text later must be able to."""
        try:
            parse(text)
        except RequestError as error:
            for problem in error.problems:
                self.report(path, problem.message, problem.help)

    def check_known(self, key: str, names: Iterable[str], known: Mapping[str, Any]) -> None:
        """An extra or group that pyproject.toml does not have is a slip of the pen."""
        if not self.metadata.name:
            return  # a folder of requirements, whose lock knows
        normal = {normalize(name) for name in known}
        for index, name in enumerate(names):
            if normalize(name) not in normal:
                from imagist.text.suggest import did_you_mean  # noqa: PLC0415 - seldom wrong

                what = f"`{name}` is not one of the project's {key}"
                self.report(f"{key}[{index}]", what, did_you_mean(name, known))

    def check_files(self) -> None:
        for name, path in self.project.binary.items():
            if path.startswith("/") or ".." in path.split("/"):
                advice = "name something in the project's folder"
                self.report(f"binary.{name}", f"`{path}` is outside the project", advice)
        for index, file in enumerate(self.project.files):
            path = f"files[{index}]"
            for key, value in (("source", file.source), ("path", file.path)):
                if not value:
                    self.report(path, f"`{path}` has no `{key}`", f"add `{key}`")
            if file.source.startswith("/") or ".." in file.source.split("/"):
                advice = "name something in the project's folder"
                self.report(f"{path}.source", f"`{file.source}` is outside the project", advice)
            check_mode(self.report, path, file.permissions)
            if file.capabilities:
                from imagist.rootfs.capabilities import parse_capabilities  # noqa: PLC0415

                self.check_by(parse_capabilities, f"{path}.capabilities", file.capabilities)
            if file.path and not file.path.startswith("/"):
                self.report(f"{path}.path", f"`path` must begin with /: `{file.path}`")
            elif ".." in file.path.split("/") or "\0" in file.path:
                self.report(f"{path}.path", f"a path must not go upwards: `{file.path}`")
