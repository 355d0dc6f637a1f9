"""What a declaration must satisfy beyond its types; all that is wrong in one error.

The rules are apko's, and some where apko would build something that cannot work or silently drop
what was written. Nothing here needs the network or the packages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from imagist.declaration import pem
from imagist.declaration.checks import (
    check_healthcheck,
    check_mode,
    check_running,
    check_user,
    check_words,
)
from imagist.declaration.model import (
    Accounts,
    BaseImage,
    Certificates,
    Contents,
    Declaration,
    Entrypoint,
    File,
    Group,
    PathMutation,
    User,
)
from imagist.errors import Problem, RequestError, Span
from imagist.oci.platform import parse_platform
from imagist.packages.deb.dependency import parse_world
from imagist.packages.deb.sources import is_source, parse_sources
from imagist.packages.selection import PRESETS
from imagist.text.suggest import did_you_mean

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_WORLD_ENTRY: Final = re.compile(r"!?[^@=><~!\s]+(?:[=><~]+[^@=><~\s]+)?(?:@[A-Za-z0-9_.-]+)?")
_ACCOUNT_NAME: Final = re.compile(r"[^\s:,/\x00-\x1f\x7f]+")
_ACCOUNT_FIELD: Final = re.compile(r"[^:\x00-\x1f\x7f]*")


def check_declaration(
    declaration: Declaration, span_of: Callable[[str], Span | None] = lambda _: None
) -> None:
    """Check everything that can be checked without looking at packages.

    Args:
        declaration: as written or merged, without defaults.
        span_of: where a part such as `contents.packages[3]` was written.

    Raises:
        RequestError: with every problem there is.
    """
    checker = _Checker(span_of)
    checker.check(declaration)
    if checker.problems:
        raise RequestError(checker.problems)


class _Checker:
    def __init__(self, span_of: Callable[[str], Span | None]) -> None:
        self.span_of = span_of
        self.problems: list[Problem] = []

    def report(self, path: str, message: str, advice: str | None = None) -> None:
        self.problems.append(Problem(message, self.span_of(path) or path, advice))

    def check(self, declaration: Declaration) -> None:
        self.check_contents(declaration.contents)
        self.check_entrypoint(declaration.entrypoint)
        check_words(self.report, "cmd", declaration.cmd)
        self.check_accounts(declaration.accounts)
        for index, arch in enumerate(declaration.archs):
            self.check_arch(f"archs[{index}]", arch)
        for index, mutation in enumerate(declaration.paths):
            self.check_mutation(f"paths[{index}]", mutation)
        for index, file in enumerate(declaration.files):
            self.check_file(f"files[{index}]", file)
        self.check_config(declaration)
        if declaration.healthcheck:
            check_healthcheck(self.report, declaration.healthcheck)
        if declaration.certificates:
            self.check_certificates(declaration.certificates)
        self.check_layering(declaration)
        self.check_base(declaration.contents.baseimage)

    # contents

    def check_contents(self, contents: Contents) -> None:
        for key in ("repositories", "build_repositories", "runtime_repositories"):
            for index, line in enumerate(getattr(contents, key)):
                self.check_repository(f"contents.{key}[{index}]", line)
        for index, location in enumerate(contents.keyring):
            if not location.strip():
                self.report(f"contents.keyring[{index}]", "a key's location is empty")
        check_packages = self.check_packages
        if any(map(is_source, (*contents.repositories, *contents.build_repositories))):
            check_packages = self.check_debian_packages
            self.check_debian_repositories(contents)
        check_packages("contents.packages", contents.packages)
        for arch, packages in contents.platform_packages.items():
            path = f"contents.platform_packages.{arch}"
            self.check_arch(path, arch)
            check_packages(path, packages)
        self.check_runtime_keys(contents)
        self.check_selection(contents)

    def check_repository(self, path: str, line: str) -> None:
        if is_source(line) or line.startswith("deb-src"):
            try:
                parse_sources(line)
            except RequestError as error:
                for problem in error.problems:
                    self.report(path, problem.message, problem.help)
            return
        *tags, location = line.split(" ")
        if not location:
            self.report(path, "a repository's location is empty", "write a URL or a path")
        elif len(tags) > 1 or (tags and not re.fullmatch("@.+", tags[0])):
            self.report(path, f"`{line}` is not a repository", "write `url`, or `@tag url`")

    def check_debian_repositories(self, contents: Contents) -> None:
        for key in ("build_repositories", "repositories"):
            for index, line in enumerate(getattr(contents, key)):
                if is_source(line):
                    continue
                advice = "build one image upon the other, with `contents.baseimage`"
                if line.endswith((".sources", ".list")):
                    advice = f"write what is in {line} as the entry itself"
                self.report(
                    f"contents.{key}[{index}]",
                    f"`{line}` is no source of Debian packages, as others here are",
                    advice,
                )

    def check_packages(self, path: str, packages: Iterable[str]) -> None:
        for index, entry in enumerate(packages):
            if not _WORLD_ENTRY.fullmatch(entry):
                self.report(
                    f"{path}[{index}]",
                    f"`{entry}` does not name a package",
                    "write `name`, `name=1.2-r0`, `name>1`, `name~1.2` or `name@tag`",
                )

    def check_debian_packages(self, path: str, packages: Iterable[str]) -> None:
        for index, entry in enumerate(packages):
            try:
                parse_world([entry], "amd64")
            except RequestError as error:
                self.report(
                    f"{path}[{index}]", str(error.problems[0].message), error.problems[0].help
                )

    def check_selection(self, contents: Contents) -> None:
        for name in contents.slim:
            if name not in PRESETS:
                advice = did_you_mean(name, PRESETS) or f"there are {', '.join(PRESETS)}"
                self.report(
                    "contents.slim", f"`{name}` is nothing that can be slimmed away", advice
                )
        if contents.slices is not None and not contents.slices.release:
            self.report(
                "contents.slices", "slices need `release`", "name the folder of chisel.yaml"
            )

    def check_runtime_keys(self, contents: Contents) -> None:
        seen: set[str] = set()
        for index, key in enumerate(contents.runtime_keyring):
            path = f"contents.runtime_keyring[{index}]"
            self.check_file_name(path, key.name, "a runtime key")
            if key.name in seen:
                self.report(f"{path}.name", f"there are two runtime keys named `{key.name}`")
            seen.add(key.name)
            if wrong := pem.find_key_problem(key.content):
                self.report(f"{path}.content", f"runtime key `{key.name}`: {wrong}")

    def check_file_name(self, path: str, name: str, what: str) -> None:
        if not name:
            self.report(f"{path}.name", f"{what} has no name", "add `name`")
        elif not _FILE_NAME.fullmatch(name):
            self.report(
                f"{path}.name",
                f"`{name}` cannot name {what}",
                "use letters, digits, `_`, `-` and `.`, but no `.` at the beginning",
            )

    # how the container runs

    def check_entrypoint(self, entrypoint: Entrypoint) -> None:
        check_words(self.report, "entrypoint.command", entrypoint.command)
        for name in entrypoint.services:
            if not _FILE_NAME.fullmatch(name):
                self.report(f"entrypoint.services.{name}", f"`{name}` cannot name a service")

    def check_config(self, declaration: Declaration) -> None:
        check_running(
            self.report,
            stop_signal=declaration.stop_signal,
            work_dir=declaration.work_dir,
            volumes=declaration.volumes,
            ports=declaration.ports,
            variables=("environment", declaration.environment),
        )
        for key in ("annotations", "labels"):
            if "" in (getattr(declaration, key) or {}):
                self.report(key, f"a key of `{key}` is empty")

    # accounts

    def check_accounts(self, accounts: Accounts) -> None:
        users: dict[str, User] = {}
        for index, user in enumerate(accounts.users):
            path = f"accounts.users[{index}]"
            self.check_account_name(path, "username", user.username)
            if user.uid == 0:
                self.report(
                    f"{path}.uid",
                    f"user `{user.username}` has uid 0, which is root in every image",
                    "give another uid; to run as root, let `run-as` be 0",
                )
            for key in ("shell", "homedir"):
                if not _ACCOUNT_FIELD.fullmatch(getattr(user, key)):
                    self.report(f"{path}.{key}", f"`{key}` has a colon or control character")
            if users.setdefault(user.username, user) != user:
                self.report(path, f"user `{user.username}` is there twice, with differences")
        groups: dict[str, Group] = {}
        for index, group in enumerate(accounts.groups):
            path = f"accounts.groups[{index}]"
            self.check_account_name(path, "groupname", group.groupname)
            for number, member in enumerate(group.members):
                self.check_account_name(path, f"members[{number}]", member)
            if groups.setdefault(group.groupname, group) != group:
                self.report(path, f"group `{group.groupname}` is there twice, with differences")
        check_user(self.report, "accounts.run-as", accounts.run_as)

    def check_account_name(self, path: str, key: str, name: str) -> None:
        if not name:
            self.report(path, f"`{path}` has no `{key}`", f"add `{key}`")
        elif not _ACCOUNT_NAME.fullmatch(name):
            self.report(f"{path}.{key}", f"`{name}` cannot name a user or group")

    # paths and files

    def check_arch(self, path: str, arch: str) -> None:
        try:
            parse_platform(arch)
        except RequestError as error:
            problem = error.problems[0]
            self.report(path, f"`{arch}` is not an architecture", problem.help)

    def check_path(self, path: str, value: str) -> None:
        if not value.strip("/"):
            self.report(path, "`path` is the root" if value else f"`{path}` has no `path`")
        elif ".." in value.split("/") or "\0" in value:
            self.report(f"{path}.path", f"a path must not go upwards: `{value}`")
        elif any(part.startswith(".wh.") for part in value.split("/")):
            self.report(f"{path}.path", f"a name that begins with `.wh.` deletes files: `{value}`")

    def check_mutation(self, path: str, mutation: PathMutation) -> None:
        self.check_path(path, mutation.path)
        check_mode(self.report, path, mutation.permissions)
        if not mutation.type:
            self.report(path, f"`{path}` does not say what to do", "add `type`")
            return
        links = mutation.type in {"hardlink", "symlink"}
        if links and not mutation.source:
            self.report(path, f"a {mutation.type} needs a `source`", "add what it points to")
        if mutation.source and not links:
            self.report(f"{path}.source", f"`source` has no meaning for `{mutation.type}`")
        if mutation.recursive and mutation.type not in {"directory", "permissions"}:
            self.report(f"{path}.recursive", f"`recursive` has no meaning for `{mutation.type}`")
        nothing = (mutation.permissions, mutation.uid, mutation.gid) == (None, None, None)
        if mutation.type == "permissions" and nothing:
            self.report(path, f"`{path}` changes nothing", "add `permissions`, `uid` or `gid`")

    def check_file(self, path: str, file: File) -> None:
        self.check_path(path, file.path)
        check_mode(self.report, path, file.permissions)
        if (file.content is None) == (file.source is None):
            self.report(path, f"`{path}` needs either `content` or `source`")
        elif file.source == "":
            self.report(f"{path}.source", "`source` is empty")

    # certificates, layers, base

    def check_certificates(self, certificates: Certificates) -> None:
        for index, certificate in enumerate(certificates.additional):
            path = f"certificates.additional[{index}]"
            self.check_file_name(path, certificate.name, "a certificate")
            if wrong := pem.find_certificate_problem(certificate.content):
                self.report(f"{path}.content", f"certificate `{certificate.name}`: {wrong}")
        for index, provider in enumerate(certificates.providers):
            if not re.fullmatch(r"[^@=><~!\s]+", provider):
                self.report(
                    f"certificates.providers[{index}]", f"`{provider}` cannot name a provider"
                )

    def check_layering(self, declaration: Declaration) -> None:
        layering = declaration.layering
        if layering is None:
            return
        if declaration.format == "erofs" and layering.strategy not in {"", "single"}:
            self.report("layering", "an EROFS image has one layer", "remove `layering`")
        if layering.strategy == "single" and layering.budget:
            self.report("layering.budget", "`single` has one layer; a budget has no meaning")

    def check_base(self, base: BaseImage | None) -> None:
        if base is not None and not base.image:
            self.report("contents.baseimage", "a base image needs `image`", "add `image`")
