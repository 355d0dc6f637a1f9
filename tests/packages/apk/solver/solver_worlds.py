"""Worlds and what they should become: the corpus of the solver's tests.

A repository is a text with one package a line:

    name version [needs: a b] [gives: x=1 y] [origin: o] [priority: 10] [with: a b]
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import NamedTuple

from imagist.oci.platform import Platform
from imagist.packages.apk.index import Package
from imagist.packages.apk.universe import PackageList, Repository, Universe

AMD = Platform("amd64")
ARM = Platform("arm64")
_FIELD = re.compile(r"(needs|gives|origin|priority|with): ")


def read_packages(text: str, arch: str = "aarch64") -> list[Package]:
    """The packages of a repository text."""
    packages = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, *parts = _FIELD.split(line)
        fields = dict(zip(parts[::2], parts[1::2], strict=True))
        name, version = head.split()
        packages.append(
            Package(
                name,
                version,
                arch,
                "Q1" + base64.b64encode(hashlib.sha1(line.encode()).digest()).decode(),
                depends=tuple(fields.get("needs", "").split()),
                provides=tuple(fields.get("gives", "").split()),
                install_if=tuple(fields.get("with", "").split()),
                origin=fields.get("origin", "").strip(),
                provider_priority=int(fields.get("priority", "0")),
            )
        )
    return packages


def universe(*repositories: str, **tagged: str) -> Universe:
    """Repositories in their order, then tagged ones by tag."""
    plain = [
        Repository(PackageList(read_packages(text)), f"http://r{n}.test")
        for n, text in enumerate(repositories)
    ]
    tags = [
        Repository(PackageList(read_packages(text)), f"http://{tag}.test", tag)
        for tag, text in tagged.items()
    ]
    return Universe([*plain, *tags])


class Scenario(NamedTuple):
    """A world, what is on offer, and the packages it becomes in installation order; None is a contradiction."""

    name: str
    world: str
    becomes: str | None
    repositories: tuple[str, ...]
    apko: str | None = "same"
    """`same`, or what apko chooses instead, sorted; None where it fails."""
    because: str = ""
    """Why imagist chooses differently."""


SCENARIOS = [
    Scenario(
        "dependencies stand before dependants",
        "app",
        "base-1 lib-1 app-1",
        ("app 1 needs: lib base\n lib 1 needs: base\n base 1",),
    ),
    Scenario(
        "a circle is cut where the walk closes it",
        "a",
        "c-1 b-1 a-1",
        ("a 1 needs: b\n b 1 needs: c\n c 1 needs: a",),
    ),
    Scenario(
        "the highest version is taken", "a", "a-1.10-r0", ("a 1.9-r0\n a 1.10-r0\n a 1.2-r9",)
    ),
    Scenario(
        "constraints of several dependants are intersected before choosing",
        "x y",
        "lib-2 x-1 y-1",
        ("x 1 needs: lib>1\n y 1 needs: lib<3\n lib 1\n lib 2\n lib 3",),
        apko="lib 3 x 1 y 1",
        because="apko forgets what y needs, as lib is chosen when it comes to y: a broken set",
    ),
    Scenario(
        "the world limits what a dependency takes",
        "app lib<2",
        "lib-1 app-1",
        ("app 1 needs: lib\n lib 1\n lib 2",),
    ),
    Scenario(
        "a fuzzy version takes the highest of its series",
        "lib~1.2",
        "lib-1.2.9-r1",
        ("lib 1.2.9-r1\n lib 1.3\n lib 1.2.1",),
    ),
    Scenario(
        "a provided soname is found, and its highest version wins",
        "app",
        "ld-2-r1 app-1",
        ("app 1 needs: so:ld.so\n ld 2-r1 gives: so:ld.so=1.1\n ld 2-r2 gives: so:ld.so=1.0",),
    ),
    Scenario(
        "where providers carry the same version, the higher package version wins",
        "app",
        "ld-2-r2 app-1",
        ("app 1 needs: so:ld.so\n ld 2-r1 gives: so:ld.so=1.0\n ld 2-r2 gives: so:ld.so=1.0",),
    ),
    Scenario(
        "a dependency with version on a provided name limits the provider",
        "tool~2 other",
        "ld-2-r1 other-1 tool-2.1",
        (
            (
                "tool 2.1 needs: so:ld.so=1.0\n tool 3.0 needs: so:ld.so\n other 1 needs: so:ld.so\n"
                "ld 2-r1 gives: so:ld.so=1.0\n ld 2-r2 gives: so:ld.so=1.1"
            ),
        ),
        apko=None,
        because="apko does not go back on a choice, here the one for other",
    ),
    Scenario(
        "a refusal leaves the other provider",
        "libc",
        "ld-2 libc-1",
        ("libc 1 needs: !musl so:ld.so\n musl 9 gives: so:ld.so\n ld 2 gives: so:ld.so",),
    ),
    Scenario(
        "a package answers its own dependency",
        "a",
        "a-1",
        ("a 1 needs: virt so:a.so gives: virt so:a.so=1\n b 9 gives: virt",),
    ),
    Scenario(
        "an old package of an origin that has moved on is not preferred",
        "app core=2",
        "newcrypt-2 app-1 core-2",
        (
            (
                "core 1 origin: core\n crypt 1 gives: so:crypt=1 origin: core\n core 2 origin: core\n"
                "newcrypt 2 gives: so:crypt=1 origin: newcrypt\n app 1 needs: so:crypt"
            ),
        ),
    ),
    Scenario(
        "subpackages follow a pinned version of their origin",
        "server=1 client",
        "client-1 server-1",
        ("server 1 origin: db\n server 2 origin: db\n client 1 origin: db\n client 2 origin: db",),
        apko="client 2 server 1",
        because="apko applies the rule to dependencies only; the entries of a world are as much siblings",
    ),
    Scenario(
        "subpackages that are dependencies follow a pinned version of their origin",
        "server=1 app",
        "client-1 app-1 server-1",
        (
            "server 1 origin: db\n server 2 origin: db\n client 1 origin: db\n client 2 origin: db\n app 1 needs: client",
        ),
    ),
    Scenario(
        "priority does not raise an old version of the same name",
        "py",
        "py-3",
        ("py 2 gives: bind priority: 312\n py 3 gives: bind priority: 310",),
    ),
    Scenario(
        "priority decides between names that provide a virtual one",
        "bind",
        "py13-3",
        ("py10 3 gives: bind priority: 310\n py13 3 gives: bind priority: 313",),
    ),
    Scenario(
        "a name is compared by its current version's priority",
        "bind",
        "py10-3",
        (
            "py10 2 gives: bind priority: 999\n py10 3 gives: bind priority: 310\n py09 3 gives: bind priority: 309",
        ),
    ),
    Scenario(
        "a carried version counts more than priority",
        "virt",
        "a-1",
        ("a 1 gives: virt=2.0 priority: 1\n b 9 gives: virt=1.0 priority: 999",),
    ),
    Scenario(
        "between names that are equal otherwise the higher package version wins, not the earlier repository",
        "so:x.so",
        "plain-1.0-r2",
        ("variant 1.0-r1 gives: so:x.so=12", "plain 1.0-r2 gives: so:x.so=12"),
    ),
    Scenario(
        "of one version in two repositories the earlier is taken", "a", "a-1", ("a 1", "a 1")
    ),
    Scenario(
        "a virtual name without priority takes the package that has the name",
        "editor",
        "editor-9",
        ("editor 9\n gui-editor 9 gives: editor\n",),
    ),
    Scenario(
        "a package that only provides the name without priority does not replace the package of that name",
        "vim",
        "vim-9",
        ("vim 9\n gvim 9 gives: vim",),
        apko="gvim 9",
        because="apk-tools never takes a provide without version and priority by itself",
    ),
    Scenario(
        "a virtual name is answered by what is needed anyway",
        "awk tool",
        "mawk-1 tool-1",
        ("gawk 5 gives: awk\n mawk 1 gives: awk\n tool 1 needs: mawk",),
        apko="gawk 5 mawk 1 tool 1",
        because="a provider that is there anyway answers; apko chooses before it looks",
    ),
    Scenario(
        "versioned provides of one name exclude each other",
        "a b",
        None,
        ("a 1 gives: x=1\n b 1 gives: x=1",),
    ),
    Scenario(
        "unversioned provides of one name live together",
        "a b",
        "a-1 b-1",
        ("a 1 gives: x\n b 1 gives: x",),
    ),
    Scenario(
        "a provide with version excludes one without",
        "a b",
        None,
        ("a 1 gives: x=1\n b 1 gives: x",),
    ),
    Scenario(
        "a pin on a name that a chosen package provides without version is answered by that package",
        "compat=1.2-r3 config=1.2-r3",
        "compat-1.2-r3",
        ("config 1.2-r3 origin: u\n compat 1.2-r3 gives: config origin: u",),
    ),
    Scenario(
        "a provide without version does not answer another version",
        "config=1.2",
        None,
        ("compat 9 gives: config",),
    ),
    Scenario(
        "an older version is taken where the newest cannot be installed",
        "app",
        "lib-1 app-1",
        ("app 2 needs: gone\n app 1 needs: lib\n lib 1",),
        apko=None,
        because="apko does not go back on a choice",
    ),
    Scenario(
        "a provider that cannot be installed is passed over",
        "app",
        "b-1 app-1",
        ("app 1 needs: virt\n a 2 gives: virt needs: gone\n b 1 gives: virt",),
        apko=None,
        because="apko does not go back on a choice",
    ),
    Scenario(
        "the nearer package keeps its version, the farther one gives way",
        "app",
        "lib-2 mid-1 app-1",
        ("app 1 needs: lib mid\n lib 1\n lib 2\n mid 2 needs: lib<2\n mid 1 needs: lib",),
        apko="app 1 lib 2 mid 2",
        because="apko forgets what mid needs: a broken set",
    ),
    Scenario(
        "install_if works to a fixed point, with the dependencies of what it adds",
        "app docs",
        "app-1 docs-1 app-doc-1 viewer-1 index-1 index-doc-1",
        (
            (
                "app 1\n docs 1\n app-doc 1 with: docs app=1\n index 1 with: app-doc needs: viewer\n"
                "viewer 1\n index-doc 1 with: index docs\n viewer-doc 1 with: docs viewer=2"
            ),
        ),
        apko="app 1 docs 1",
        because="apko looks only among the dependencies of each entry of the world",
    ),
    Scenario(
        "install_if of a dependency is seen",
        "app",
        "lib-1 app-1 lib-extra-1",
        ("app 1 needs: lib\n lib 1\n lib-extra 1 with: lib",),
    ),
    Scenario(
        "what installs itself but cannot be installed stays out",
        "app docs",
        "app-1 docs-1",
        ("app 1\n docs 1\n app-doc 1 with: docs app needs: gone",),
    ),
    Scenario(
        "the world can exclude what would install itself",
        "app docs !app-doc",
        "app-1 docs-1",
        ("app 1\n docs 1\n app-doc 1 with: docs app",),
        apko=None,
        because="apko looks for a package called !app-doc",
    ),
    Scenario(
        "names may be paths and have namespaces",
        "/bin/sh cmd:ls pc:z>=1",
        "box-1 z-dev-1",
        ("box 1 gives: /bin/sh cmd:ls=1\n z-dev 1 gives: pc:z=1.3",),
    ),
    Scenario(
        "plain soname versions are lower than package versions",
        "so:a.so.1",
        "new-1",
        ("old 1 gives: so:a.so.1=9\n new 1 gives: so:a.so.1=1.0-r0",),
    ),
    Scenario("a missing dependency is a contradiction", "app", None, ("app 1 needs: gone",)),
    Scenario(
        "a package may refuse a version of another",
        "app lib",
        "app-1 lib-1",
        ("app 1 needs: !lib>1\n lib 1\n lib 2",),
    ),
    Scenario(
        "a refusal of what the package itself provides does not hit it",
        "a",
        "a-1",
        ("a 1 needs: !x gives: x",),
    ),
]
