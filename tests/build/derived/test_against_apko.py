"""The tree with everything derived, path by path, against what real apko builds of the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from textwrap import indent

from imagist.build.derived import accounts, busybox, certificates, paths, services, skeleton
from imagist.build.derived.jks import KeystoreEntry, format_jks
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from support import needs

from .conftest import EPOCH, Built, MemoryContents, Package, make_certificate, with_folders

A, B, C = (make_certificate(name, serial) for serial, name in enumerate("ABC", 1))


def file(path: str, data: bytes = b"", mode: int = 0o644, mtime: int = 1000) -> Entry:
    return Entry(path, mode=mode, mtime=mtime, size=len(data), data=data)


PACKAGES = (
    Package(
        "base",
        (
            file("etc/passwd", b"root:x:0:0:root:/root:/bin/ash\nf:x:7:8::/var/f:/bin/sh\n", mtime=5),
            file("etc/group", b"root:x:0:root\nwheel:x:10:\n", 0o600, 5),
            file("etc/shadow", b"root:*::0:::::\n", 0o640, 5),
            file("etc/os-release", b"ID=test\n", 0o600),
            file("etc/ssl/certs/ca-certificates.crt", b"# start\n", 0o640),
            file("var/lib/ecs/deps/execute-command/certs/tls-ca-bundle.pem", A.pem),
            file("kaniko/ssl/certs/ca-certificates.crt", b"# kaniko\n"),
            file("etc/ssl/certs/java/cacerts", format_jks([KeystoreEntry("zz", 5, data=A.der)])),
            Entry("tmp", "directory", 0o777, mtime=33),
            Entry("far", "directory", 0o755, mtime=1000),
        ),
    ),
    Package(
        "busybox",
        (
            file("bin/busybox", b"\x7fELF", 0o755, 77),
            file("bin/sh", b"#!"),
            file("etc/busybox-paths.d/busybox", b"/bin/ls\n/usr/bin/x\n/bin/sh\n/new/er/b\n"),
            Entry("usr/bin", "directory", 0o755, mtime=66),
        ),
        version="1.36.1-r1",
    ),
    Package(
        "certs",
        (
            file("usr/local/share/ca-certificates/z.crt", B.pem),
            file("usr/local/share/ca-certificates/a/two.pem", B.pem + C.pem),
            file("usr/local/share/ca-certificates/a/one.pem", b"text\n" + C.pem),
            file("usr/local/share/ca-certificates/0.txt", A.pem),
            file("usr/share/ca-certificates/other.crt", A.pem),
        ),
        provides=("my-certs",),
    ),
)  # fmt: skip

DECLARATION = """
accounts:
  groups:
    - {groupname: u, gid: 500, members: [u, v]}
    - {groupname: w, gid: 502}
  users:
    - {username: u, uid: 500}
    - {username: v, uid: 501, gid: 0, shell: /bin/ash, homedir: /dev/null}
    - {username: w, uid: 502, homedir: /deep/er/w}
  run-as: u
entrypoint:
  services: {web: /usr/bin/web --port 80, db: /bin/db}
paths:
  - {path: /data, type: directory, permissions: 0o755}
  - {path: /data/a, type: directory, uid: 500, permissions: 0o2770}
  - {path: /data/empty, type: empty-file, permissions: 0o640, gid: 5}
  - {path: /data/hard, type: hardlink, source: /etc/os-release, permissions: 0o444}
  - {path: /far, type: permissions, uid: 3, permissions: 0o751}
certificates:
  providers: [my-certs]
  additional:
    - name: Pear
      content: |
""" + indent(C.pem.decode(), "        ")


def derive() -> tuple[Tree, str]:
    """What `compose` does, in its order, with the times of apko."""
    tree, contents = Tree(), MemoryContents()
    skeleton.put_skeleton(tree, epoch=0)
    for package in PACKAGES:
        for entry in with_folders(package.entries):
            tree.add(Node(entry, package.name))
    skeleton.link_old_database(tree, epoch=0)
    known = accounts.add_accounts(
        tree,
        contents,
        users=[
            accounts.User("u", 500, 500, "/home/u"),
            accounts.User("v", 501, 0, "/dev/null", "/bin/ash"),
            accounts.User("w", 502, 502, "/deep/er/w"),
        ],
        groups=[accounts.Group("u", 500, ("u", "v")), accounts.Group("w", 502)],
        epoch=0,
    )
    mutation = paths.PathMutation
    mutations = [
        mutation("/data", "directory", permissions=0o755),
        mutation("/data/a", "directory", uid=500, permissions=0o2770),
        mutation("/data/empty", "empty-file", permissions=0o640, gid=5),
        mutation("/data/hard", "hardlink", source="/etc/os-release", permissions=0o444),
        mutation("/far", "permissions", uid=3, permissions=0o751),
    ]
    paths.mutate_paths(tree, contents, mutations, epoch=0)
    certificates.install_certificates(
        tree,
        contents,
        additional=[certificates.AdditionalCertificate("Pear", C.pem.decode())],
        providers=["my-certs"],
        provides={package.name: package.provides for package in PACKAGES},
        epoch=EPOCH,
    )
    certificates.put_bundle_checksums(tree, contents, epoch=EPOCH)
    services.put_services(tree, {"web": "/usr/bin/web --port 80", "db": "/bin/db"}, epoch=0)
    busybox.link_busybox(tree, contents, epoch=0)
    skeleton.put_devices(tree)
    return tree, accounts.resolve_run_as(known, "u")


NOT_DERIVED_HERE = {
    *("etc/apk/arch", "etc/apk/repositories", "etc/apk/world", "etc/apko.json"),
    *(f"usr/lib/apk/db/{name}" for name in ("installed", "scripts.tar", "triggers")),
}


@needs("apko")
def test_what_is_derived_is_what_apko_makes(
    apko: Callable[[str, Iterable[Package]], Built],
) -> None:
    built = apko(DECLARATION, PACKAGES)
    tree, user = derive()
    mine = {node.entry.path: _plain(node.entry) for node in tree}
    theirs = {
        path: _plain(entry)
        for path, entry in built.entries.items()
        if path not in NOT_DERIVED_HERE
    }
    assert sorted(mine) == sorted(theirs)
    assert {path: (mine[path], theirs[path]) for path in mine if mine[path] != theirs[path]} == {}
    assert user == built.config["User"]


def _plain(entry: Entry) -> tuple[object, ...]:
    mode = 0o777 if entry.kind == "symlink" else entry.mode
    return (
        entry.kind,
        oct(mode),
        entry.uid,
        entry.gid,
        entry.mtime,
        entry.link,
        entry.data,
        entry.device,
    )
