"""What declarations mean where they are silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagist.declaration.defaults import ENVIRONMENT, with_defaults, with_derived
from imagist.declaration.model import (
    Accounts,
    Contents,
    Declaration,
    Entrypoint,
    Layering,
    PathMutation,
    User,
)
from imagist.oci.platform import ALL_ARCHITECTURES


def test_an_empty_declaration() -> None:
    full = with_defaults(Declaration())
    assert full.environment == ENVIRONMENT
    assert full.archs == ALL_ARCHITECTURES
    assert full.layering == Layering(strategy="package", budget=60)
    assert full.format == "tar"


def test_the_environment_can_be_overridden() -> None:
    full = with_defaults(Declaration(environment={"PATH": "/bin", "A": "b"}))
    assert full.environment["PATH"] == "/bin"
    assert full.environment["SSL_CERT_FILE"] == ENVIRONMENT["SSL_CERT_FILE"]
    assert full.environment["A"] == "b"


def test_users() -> None:
    users = (User(username="a", uid=5), User(username="b", uid=6, gid=0, shell="/x", homedir="/y"))
    full = with_defaults(Declaration(accounts=Accounts(users=users)))
    assert full.accounts.users == (
        User(username="a", uid=5, gid=5, shell="/bin/sh", homedir="/home/a"),
        User(username="b", uid=6, gid=0, shell="/x", homedir="/y"),
    )


def test_a_service_bundle_installs_its_supervisor_once() -> None:
    bundle = Declaration(
        entrypoint=Entrypoint(type="service-bundle"), contents=Contents(packages=("a",))
    )
    full = with_derived(bundle)
    assert full.entrypoint.command == "/bin/s6-svscan /sv"
    assert full.contents.packages == ("a", "s6")
    assert with_derived(full) == full


def test_modes_of_paths() -> None:
    paths = (
        PathMutation(path="/a", type="directory"),
        PathMutation(path="/b", type="empty-file"),
        PathMutation(path="/c", type="symlink", source="x"),
        PathMutation(path="/d", type="permissions", gid=3),
        PathMutation(path="/e", type="directory", permissions=0),
    )
    full = with_defaults(Declaration(paths=paths)).paths
    assert [mutation.permissions for mutation in full] == [0o755, 0o644, None, None, 0]
    assert [(mutation.uid, mutation.gid) for mutation in full] == [
        (None, None), (None, None), (None, None), (0, 3), (None, None),
    ]  # fmt: skip


def test_architectures_have_one_spelling() -> None:
    declaration = Declaration(
        archs=("x86_64", "amd64", "armhf", "386"),
        contents=Contents(platform_packages={"x86_64": ("a",), "amd64": ("b",)}),
    )
    full = with_defaults(declaration)
    assert full.archs == ("amd64", "arm/v6", "386")
    assert full.contents.platform_packages == {"amd64": ("a", "b")}


def test_layering() -> None:
    def layering(declared: Layering | None, form: str = "") -> Layering | None:
        return with_defaults(Declaration(layering=declared, format=form)).layering  # type: ignore[arg-type]

    assert layering(Layering()) == Layering(strategy="package", budget=60)
    assert layering(Layering(budget=5)) == Layering(strategy="package", budget=5)
    assert layering(Layering(strategy="origin")) == Layering(strategy="origin", budget=0)
    assert layering(Layering(strategy="single")) == Layering(strategy="single", budget=0)
    assert layering(None, "erofs") == Layering(strategy="single", budget=0)


DECLARATIONS = st.builds(
    Declaration,
    archs=st.lists(st.sampled_from(["x86_64", "amd64", "armv7"])).map(tuple),
    paths=st.lists(
        st.builds(
            PathMutation,
            type=st.sampled_from(["directory", "permissions", "symlink"]),
            uid=st.none() | st.integers(0, 9),
            gid=st.none() | st.integers(0, 9),
        )
    ).map(tuple),
    layering=st.none()
    | st.builds(Layering, strategy=st.sampled_from(["", "origin", "single"]), budget=st.none()),
    format=st.sampled_from(["", "tar", "erofs"]),
)


@given(DECLARATIONS)
def test_defaults_of_defaults_change_nothing(declaration: Declaration) -> None:
    full = with_defaults(declaration)
    assert with_defaults(full) == full
