"""The target decides, and never the machine that builds."""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Iterator

import pytest
from packaging import _manylinux, _musllinux, markers, tags

from imagist.errors import RequestError
from imagist.packages.wheel.target import (
    MACHINES,
    check_target,
    compatible_tags,
    marker_environment,
    platform_tags,
)
from packages.wheel.targets import ARCHITECTURES, target


class _Leak(AssertionError):
    """Somebody asked about this machine."""


@pytest.fixture
def no_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine about which nothing can be asked."""

    def refuse(*_: object, **__: object) -> None:
        raise _Leak

    for name in ("get_platform", "get_config_var", "get_config_vars"):
        monkeypatch.setattr(sysconfig, name, refuse)
    for name in ("machine", "system", "release", "version", "python_version", "uname"):
        monkeypatch.setattr(platform, name, refuse)
    monkeypatch.setattr(os, "confstr", refuse)
    monkeypatch.setattr(tags, "platform_tags", refuse)
    monkeypatch.setattr(tags, "interpreter_name", refuse)
    monkeypatch.setattr(_manylinux, "platform_tags", refuse)
    monkeypatch.setattr(_musllinux, "platform_tags", refuse)
    compatible_tags.cache_clear()
    yield
    compatible_tags.cache_clear()


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("libc", ["glibc", "musl", ""])
def test_tags_ask_nothing_of_the_host(no_host: None, arch: str, libc: str) -> None:
    found = compatible_tags(target(arch, libc=libc))  # type: ignore[arg-type]
    assert str(found[-1]) == "py30-none-any"
    machines = {str(tag).rpartition("-")[2] for tag in found} - {"any"}
    assert all(name.endswith(MACHINES[arch]) for name in machines)
    assert bool(machines) is bool(libc)


def test_the_fixture_notices_a_leak(no_host: None) -> None:
    with pytest.raises(_Leak):
        list(tags.cpython_tags((3, 12), None, ["linux_x86_64"]))
    with pytest.raises(_Leak):
        list(tags.compatible_tags((3, 12), "cp312", None))


def test_markers_know_all_there_is_and_nothing_of_the_host() -> None:
    asked = markers.default_environment()
    environment = marker_environment(target("arm64"))
    assert set(environment) == set(asked)
    assert environment["platform_machine"] == "aarch64"
    assert environment["python_full_version"] == "3.12.7"


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("platform_machine == 'aarch64'", True),
        ("python_full_version < '3.12.8' and python_full_version >= '3.12.7'", True),
        ("implementation_version == '3.12.7'", True),
        ("sys_platform == 'win32' or os_name == 'nt'", False),
        ("platform_release != ''", False),
        ("'2' in platform_version", False),
        ("platform_python_implementation == 'CPython'", True),
        ("platform_system == 'Linux'", True),
    ],
)
def test_markers_are_those_of_the_target(
    monkeypatch: pytest.MonkeyPatch, marker: str, holds: bool
) -> None:
    strange = dict.fromkeys(markers.default_environment(), "strange")
    monkeypatch.setattr(markers, "_cached_default_environment", lambda: strange)
    environment = marker_environment(target("arm64"))
    assert markers.Marker(marker).evaluate(environment, "requirement") is holds


def test_native_tags_are_those_of_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "linux-x86_64")
    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: (2, 36))
    monkeypatch.setattr(_manylinux, "_have_compatible_abi", lambda *_: True)
    monkeypatch.setattr(_musllinux, "platform_tags", lambda *_: iter(()))
    theirs = [each for each in tags._linux_platforms(is_32bit=False) if "x86_64" in each]
    assert list(platform_tags(target())) == theirs


@pytest.mark.parametrize("arch", ["arm64", "ppc64le", "s390x", "riscv64"])
def test_foreign_platforms_are_those_of_packaging(
    arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: (2, 41))
    monkeypatch.setattr(_manylinux, "_have_compatible_abi", lambda *_: True)
    ours = list(platform_tags(target(arch, libc_version=(2, 41))))
    assert ours[1:] == list(_manylinux.platform_tags([MACHINES[arch]]))


def test_musl_platforms_go_down_to_the_first() -> None:
    found = list(platform_tags(target("arm/v7", libc="musl")))
    assert found == [
        "linux_armv7l",
        "musllinux_1_2_armv7l",
        "musllinux_1_1_armv7l",
        "musllinux_1_0_armv7l",
    ]


def test_old_names_stand_beside_the_versions_they_mean() -> None:
    found = list(platform_tags(target("386")))
    for name, version in (("2014", "2_17"), ("2010", "2_12"), ("1", "2_5")):
        assert found.index(f"manylinux{name}_i686") - 1 == found.index(f"manylinux_{version}_i686")
    assert list(platform_tags(target("arm64")))[-1] == "manylinux2014_aarch64"


def test_free_threaded_python_takes_no_stable_abi() -> None:
    names = {str(tag) for tag in compatible_tags(target(python="3.13.1", threaded=True))}
    assert "cp313-cp313t-manylinux_2_17_x86_64" in names
    assert "cp313-none-any" in names
    assert not {name for name in names if "-abi3-" in name or "-cp313-" in name}
    names = {str(tag) for tag in compatible_tags(target(python="3.13.1"))}
    assert "cp38-abi3-manylinux2014_x86_64" in names


def test_paths_follow_from_the_version() -> None:
    assert target().site_packages == "/opt/venv/lib/python3.12/site-packages"
    threaded = target(python="3.14.0", threaded=True)
    assert threaded.site_packages == "/opt/venv/lib/python3.14t/site-packages"


@pytest.mark.parametrize("change", [{"python": "3.12"}, {"abi": "cp311"}, {"abi": "312"}])
def test_parts_that_do_not_fit_are_refused(change: dict[str, str]) -> None:
    import msgspec

    with pytest.raises(RequestError):
        check_target(msgspec.structs.replace(target(), **change))
