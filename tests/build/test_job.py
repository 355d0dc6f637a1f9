from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from build.conftest import Workshop
from build.described import content, describe_image, read_tree
from fixtures.demo import _certificate
from fixtures.maker import EPOCH, load_key
from fixtures.zstd import compress
from imagist.inspection.view import view_image
from imagist.oci import derive, mediatype
from imagist.oci.derive import BytesLayer
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.image import Image, Index
from imagist.oci.manifest import History
from imagist.oci.mutate import append_layers
from imagist.oci.validate import validate
from imagist.store.archive import read_archive
from imagist.store.layout import read_layout, write_layout
from support import ROOT, TESTDATA, needs

GOLDEN = ROOT / "tests" / "golden"

EVERYTHING = """\
include: common.yaml
contents:
  repositories: [repo, '@extra extra']
  build_repositories: [more]
  runtime_repositories: ['https://example.org/later/']
  keyring: [demo-test-only.rsa.pub]
  runtime_keyring:
    - {name: later.rsa.pub, content: "KEY"}
  packages: [demo-baselayout, ca-certificates-demo, demo-permissions, demo-legacy,
             greeter-modern, hello=1.0.0-r0, built-from, special@extra]
  platform_packages: {arm64: [demo-web]}
entrypoint:
  type: service-bundle
  services: {web: /usr/bin/hello --serve}
cmd: "--greet 'the world'"
stop-signal: SIGQUIT
work-dir: /srv
accounts:
  run-as: app
  groups: [{groupname: app, gid: 500, members: [app]}]
  users: [{username: app, uid: 500, shell: /bin/ash}]
environment: {B: '2', A: one}
paths:
  - {path: /srv/data, type: directory, uid: 500, gid: 500, permissions: 0o750}
  - {path: /srv/empty, type: empty-file}
  - {path: /srv/soft, type: symlink, source: data}
  - {path: /srv/hard, type: hardlink, source: /etc/hosts}
  - {path: /usr/bin/hello, type: permissions, permissions: 0o700}
files:
  - {path: /etc/inline.conf, content: "a = 1\\n", uid: 3, permissions: 0o600, mtime: 5}
  - {path: /usr/local/run.sh, source: local/run.sh}
  - {path: /opt/folder, source: local}
annotations: {org.example.a: b}
labels: {only: label}
ports: [8080, 53/udp]
healthcheck: {test: [CMD, /usr/bin/hello], interval: 5s, retries: 3}
volumes: [/srv/data]
vcs-url: https://example.org/x.git@0123456789abcdef
certificates:
  additional: [{name: corp, content: "CERT"}]
archs: [amd64, aarch64]
"""


def inline(text: str) -> str:
    return text.replace("\n", "\\n")


@pytest.fixture
def everything(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The image of a declaration that uses every key there is."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000123")
    local = workshop.folder / "local"
    local.mkdir()
    (local / "run.sh").write_text("#!/bin/sh\n")
    (local / "run.sh").chmod(0o775)
    (local / "link").symlink_to("run.sh")
    workshop.write("environment: {A: hidden, C: included}\nvolumes: [/first]\n", "common.yaml")
    text = EVERYTHING.replace("KEY", inline(load_key("other").public_pem.decode()))
    text = text.replace("CERT", inline(_certificate("Corp", 9)))
    workshop.build(workshop.write(text), "-o", "layout", "-q")
    found = read_layout(workshop.folder / "layout")
    assert isinstance(found, Index)
    return found


def image_of(index: Index, arch: str = "amd64") -> Image:
    return {platform.arch: image for platform, image in derive.images(index)}[arch]


def config_of(image: Image) -> Any:
    return json.loads(image.raw_config)


def test_everything_is_valid_and_counts_agree(everything: Index) -> None:
    assert validate(everything) == []
    for _, image in derive.images(everything):
        config = config_of(image)
        assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == len(image.layers)
        assert {layer.media_type for layer in image.layers} == {mediatype.LAYER_GZIP}
        assert image.media_type == mediatype.MANIFEST


def test_every_key_of_the_configuration_arrives(everything: Index) -> None:
    config = config_of(image_of(everything))
    assert config["created"] == "2023-11-14T22:15:23Z"
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"] == {
        "User": "500",
        "ExposedPorts": {"53/udp": {}, "8080/tcp": {}},
        "Env": [
            "A=one", "B=2", "C=included",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        ],
        "Entrypoint": ["/bin/s6-svscan", "/sv"],
        "Cmd": ["--greet", "the world"],
        "Healthcheck": {"Test": ["CMD", "/usr/bin/hello"], "Interval": 5_000_000_000, "Retries": 3},
        "Volumes": {"/first": {}, "/srv/data": {}},
        "WorkingDir": "/srv",
        "Labels": {"only": "label"},
        "StopSignal": "SIGQUIT",
    }  # fmt: skip


def test_annotations_stand_on_index_and_manifests(everything: Index) -> None:
    expected = {
        "org.example.a": "b",
        "org.opencontainers.image.created": "2023-11-14T22:15:23Z",
        "org.opencontainers.image.revision": "0123456789abcdef",
        "org.opencontainers.image.source": "https://example.org/x.git",
    }
    index = json.loads(everything.raw_manifest)
    assert index["annotations"] == expected
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
    stated = json.loads(image_of(everything).raw_manifest)["annotations"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", stated.pop("dev.imagist.inputs"))
    assert stated == expected


def test_every_key_of_the_tree_arrives(everything: Index) -> None:
    tree = read_tree(image_of(everything))
    arm = read_tree(image_of(everything, "arm64"))

    def entry(path: str) -> tuple[str, int, int, int]:
        found = tree.get(path)
        assert found is not None, path
        return found.entry.kind, found.entry.mode, found.entry.uid, found.entry.gid

    assert entry("srv/data") == ("directory", 0o750, 500, 500)
    assert entry("srv/soft")[0] == "symlink"
    assert content(tree, "srv/hard") == content(tree, "etc/hosts")
    assert entry("usr/bin/hello") == ("file", 0o700, 0, 0)
    assert entry("usr/bin/setuid") == ("file", 0o4755, 0, 0)
    assert entry("var/lib/demo") == ("directory", 0o2770, 100, 101)
    assert entry("etc/inline.conf") == ("file", 0o600, 3, 0)
    assert tree.get("etc/inline.conf").entry.mtime == 5  # type: ignore[union-attr]
    assert entry("usr/local/run.sh") == ("file", 0o755, 0, 0)
    assert tree.get("opt/folder/link").entry.link == "run.sh"  # type: ignore[union-attr]
    assert content(tree, "sv/web/run") == "#!/bin/execlineb\n/usr/bin/hello --serve\n"
    assert "app:x:500:500:" in content(tree, "etc/passwd")
    assert "app:x:500:app" in content(tree, "etc/group")
    assert content(tree, "etc/apk/repositories").split("\n") == [
        "repo", "@extra extra", "https://example.org/later", "",
    ]  # fmt: skip
    assert content(tree, "etc/apk/world").startswith("demo-baselayout\n")
    assert "special@extra\n" in content(tree, "etc/apk/world")
    assert content(tree, "etc/apk/arch") == "x86_64\n"
    assert "BEGIN PUBLIC KEY" in content(tree, "etc/apk/keys/later.rsa.pub")
    assert "BEGIN PUBLIC KEY" in content(tree, "etc/apk/keys/demo-test-only.rsa.pub")
    assert content(tree, "etc/ssl/certs/ca-certificates.crt").count("BEGIN CERTIFICATE") == 3
    assert content(tree, "etc/greeter.conf") == "style = modern\n"
    assert content(tree, "usr/lib/legacy/module") == "old\n"
    assert content(tree, "usr/share/special") == "from extra"
    installed = content(tree, "usr/lib/apk/db/installed")
    assert "P:hello\nV:1.0.0-r0\n" in installed
    assert "s:extra\n" in installed
    assert "usr/bin/webd" not in tree
    assert "usr/bin/webd" in arm


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_the_described_image_is_the_golden_one(everything: Index, arch: str) -> None:
    """Run with IMAGIST_UPDATE_GOLDEN=1 to accept what is built, and read the difference."""
    golden = GOLDEN / f"everything-{arch}.txt"
    described = describe_image(image_of(everything, arch))
    if os.environ.get("IMAGIST_UPDATE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(described)
    assert described.splitlines() == golden.read_text().splitlines()


@pytest.mark.parametrize(
    ("more", "entrypoint", "cmd"),
    [
        ("entrypoint: {command: /usr/bin/hello -x 'a b'}", ["/usr/bin/hello", "-x", "a b"], None),
        (
            "entrypoint: {command: /x, shell-fragment: 'exec y | z'}",
            ["/bin/sh", "-c", "exec y | z"],
            None,
        ),
        ("cmd: /usr/bin/hello", None, ["/usr/bin/hello"]),
        ("", None, None),
    ],
)
def test_what_a_container_runs(
    workshop: Workshop, more: str, entrypoint: object, cmd: object
) -> None:
    config = config_of(build_one(workshop, workshop.declare(more=more)))["config"]
    assert (config.get("Entrypoint"), config.get("Cmd")) == (entrypoint, cmd)


def build_one(workshop: Workshop, name: str, *words: str) -> Image:
    workshop.build(name, "-o", "one", "--platform", "amd64", *words)
    found = read_layout(workshop.folder / "one")
    assert isinstance(found, Image)
    return found


def test_without_labels_the_annotations_are_labels(workshop: Workshop) -> None:
    image = build_one(workshop, workshop.declare(more="annotations: {a: b}"))
    assert config_of(image)["config"]["Labels"]["a"] == "b"


def test_time_comes_from_the_environment_then_the_flag_and_the_packages(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = workshop.declare()

    def created(*words: str) -> str:
        return config_of(build_one(workshop, name, *words))["created"]  # type: ignore[no-any-return]

    assert created() == "2023-11-14T22:13:20Z"
    assert EPOCH == 1_700_000_000
    assert created("--build-date", "2024-01-02T03:04:05Z") == "2024-01-02T03:04:05Z"
    assert created("--build-date", "2020-01-01") == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert created("--build-date", "2024-01-02T03:04:05Z") == "1970-01-01T00:00:00Z"


def test_layout_archive_and_store_hold_the_same_image(workshop: Workshop) -> None:
    name = workshop.declare(archs="[x86_64, aarch64]")
    digest = workshop.build(name)
    assert workshop.build(name, "-o", "a.tar", "-t", "example.org/a:1") == digest
    assert workshop.build(name, "-o", "folder") == digest
    for where in ("a.tar", "folder", digest):
        answer = workshop.run("validate", where)
        assert (answer.code, answer.out) == (0, f"{digest}\n")
    archive = read_archive(workshop.folder / "a.tar", "example.org/a:1")
    assert derive.digest(archive) == digest


def test_one_platform_asked_for_gives_a_manifest_and_else_an_index(workshop: Workshop) -> None:
    name = workshop.declare()
    index = workshop.build(name, "-o", "index")
    single = workshop.build(name, "-o", "single", "--arch", "x86_64")
    assert index != single
    assert isinstance(read_layout(workshop.folder / "index"), Index)
    assert isinstance(read_layout(workshop.folder / "single"), Image)


@pytest.mark.parametrize(
    ("layering", "least", "most"),
    [
        ("layering: {strategy: single}", 1, 1),
        ("layering: {strategy: origin}", 2, 2),
        ("layering: {strategy: origin, budget: 3}", 4, 4),
        ("layering: {budget: 3}", 2, 3),
        ("layering: {budget: 1}", 1, 1),
        ("", 2, 60),
    ],
)
def test_layering_changes_layers_and_not_the_tree(
    workshop: Workshop, layering: str, least: int, most: int
) -> None:
    packages = "[demo-baselayout, demo-permissions, demo-legacy, greeter-modern, hello, demo-web]"
    image = build_one(workshop, workshop.declare(packages, layering))
    plain = build_one(workshop, workshop.declare(packages, "layering: {strategy: single}"))
    assert least <= len(image.layers) <= most
    assert tree_lines(image) == tree_lines(plain)


def tree_lines(image: Image) -> list[str]:
    return [line for line in describe_image(image).splitlines() if line.startswith("/")]


def test_erofs_from_yaml_and_from_the_flag(workshop: Workshop) -> None:
    by_key = build_one(workshop, workshop.declare(more="format: erofs"))
    by_flag = build_one(workshop, workshop.declare(), "--format", "erofs")
    assert [layer.media_type for layer in by_key.layers] == [mediatype.LAYER_EROFS]
    assert derive.digest(by_key) == derive.digest(by_flag)
    assert by_key.layers[0].digest == by_key.layers[0].diff_id
    assert derive.config(by_key).platform.os_features == ("erofs",)
    assert validate(by_key) == []


@pytest.mark.parametrize("with_index", [False, True])
def test_packages_are_added_on_top_of_a_base_image(workshop: Workshop, with_index: bool) -> None:
    base_text = "environment: {BASE: '1', BOTH: base}\nannotations: {a: b}\nwork-dir: /base"
    workshop.build(workshop.declare("[demo-baselayout, demo-web]", base_text), "-o", "base")
    base = image_of(read_layout(workshop.folder / "base"))  # type: ignore[arg-type]
    apkindex = ""
    if with_index:
        folder = workshop.folder / "index" / "x86_64"
        folder.mkdir(parents=True)
        text = content(read_tree(base), "usr/lib/apk/db/installed")
        (folder / "APKINDEX").write_text(text)
        apkindex = ", apkindex: index"
    on_top = workshop.write(
        "contents:\n  repositories: [repo]\n  keyring: [demo-test-only.rsa.pub]\n"
        f"  packages: [hello, demo-permissions]\n  baseimage: {{image: base{apkindex}}}\n"
        "archs: [x86_64]\nenvironment: {BOTH: top}\n"
        "accounts: {users: [{username: app, uid: 500}], run-as: app}\n"
        "paths: [{path: /var/www, type: permissions, permissions: 0o700}]\n",
        "top.yaml",
    )
    image = build_one(workshop, on_top)
    assert validate(image) == []
    assert [layer.digest for layer in image.layers[: len(base.layers)]] == [
        layer.digest for layer in base.layers
    ]
    annotations = derive.manifest(image).annotations
    assert annotations["org.opencontainers.image.base.digest"] == derive.digest(base)
    assert not annotations.keys() & {"a", "org.opencontainers.image.base.name"}
    config = config_of(image)
    assert len(config["history"]) == len(image.layers)
    assert {"BASE=1", "BOTH=top"} <= set(config["config"]["Env"])
    assert config["config"]["WorkingDir"] == "/base"
    assert config["config"]["User"] == "500"
    tree = read_tree(image)
    names = [
        line[2:]
        for line in content(tree, "usr/lib/apk/db/installed").splitlines()
        if line.startswith("P:")
    ]
    assert len(names) == len(set(names))
    assert {"demo-web", "hello", "demo-permissions", "demo-libc"} <= set(names)
    assert content(tree, "var/www/index.html") == "<p>demo</p>\n"
    assert tree.get("var/www").entry.mode == 0o700  # type: ignore[union-attr]
    assert "app:x:500" in content(tree, "etc/passwd")


def test_a_base_image_of_zstd_is_built_upon_as_one_of_gzip(workshop: Workshop) -> None:
    workshop.build(workshop.declare("[demo-baselayout, demo-web]"), "-o", "gzip")
    base = image_of(read_layout(workshop.folder / "gzip"))  # type: ignore[arg-type]
    layers = []
    for layer in base.layers:
        with layer.compressed() as stream:
            tar = gzip.decompress(stream.read())
        zstd = BytesLayer(compress(tar), layer.diff_id, mediatype.LAYER_ZSTD)
        layers.append((zstd, History(created_by="the same")))
    write_layout(append_layers(EMPTY_IMAGE, layers), workshop.folder / "zstd")
    trees = []
    for name in ("gzip", "zstd"):
        on_top = workshop.write(
            "contents:\n  repositories: [repo]\n  keyring: [demo-test-only.rsa.pub]\n"
            f"  packages: [demo-permissions]\n  baseimage: {{image: {name}}}\n"
            "archs: [x86_64]\nlayering: {strategy: single}\n"
            "paths: [{path: /hard, type: hardlink, source: /var/www/index.html}]\n",
            f"{name}.yaml",
        )
        image = build_one(workshop, on_top)
        trees.append(list(view_image(image).tree))
        assert image.layers[-1].media_type == mediatype.LAYER_GZIP
    assert [node.entry.path for node in trees[0]] == [node.entry.path for node in trees[1]]
    [top] = [n for n in trees[1] if n.entry.path == "hard"]
    assert top.entry.size == len("<p>demo</p>\n")


@pytest.mark.parametrize("strategy", ["package", "single"])
def test_a_hardlink_keeps_its_content_when_the_image_overwrites_its_file(
    workshop: Workshop, strategy: str
) -> None:
    more = (
        f"layering: {{strategy: {strategy}}}\n"
        "files: [{path: /usr/share/permissions/attributed, content: new}]\n"
    )
    tree = read_tree(build_one(workshop, workshop.declare("[demo-permissions]", more)))
    assert content(tree, "usr/share/permissions/attributed") == "new"
    assert content(tree, "usr/share/permissions/linked") == "x\n"
    assert tree.get("usr/share/permissions/linked").entry.xattrs  # type: ignore[union-attr]


def lock_of(workshop: Workshop, name: str, **changes: object) -> dict[str, Any]:
    """A lock of a declaration, as apko writes them, made of what the solver chose."""
    rows = json.loads(workshop.run("show", "packages", name, "--json").out)
    data = (workshop.folder / name).read_bytes()
    checksum = "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()
    packages = [
        {
            "name": row["name"], "url": row["url"], "version": row["version"],
            "architecture": row["arch"], "checksum": row["checksum"],
        }
        for row in rows
    ]  # fmt: skip
    key = load_key()
    contents = {
        "keyring": [{"name": key.name, "url": key.name, "content": key.public_pem.decode()}],
        "packages": packages,
    }
    return {
        "version": "v1",
        "config": {"name": name, "checksum": checksum},
        "contents": contents,
    } | changes


def test_a_lock_gives_the_image_it_was_made_of(workshop: Workshop) -> None:
    name = workshop.declare("[hello, demo-web]")
    expected = workshop.build(name)
    workshop.write(json.dumps(lock_of(workshop, name)), "image.lock.json")
    for index in (workshop.folder / "repo").rglob("APKINDEX*"):
        index.unlink()  # a lock needs none
    assert workshop.build(name, "--lockfile", "image.lock.json") == expected


@needs("shared")
@pytest.mark.parametrize("name", ["apko.lock.json", "apko-discover.lock.json"])
def test_locks_that_apko_wrote_are_read(name: str) -> None:
    from imagist.build.lockfile import parse_lock
    from imagist.oci.platform import parse_platform

    raw = (TESTDATA / "apko-configs" / name).read_bytes()
    lock = parse_lock(raw, name)
    assert lock.packages_for(parse_platform("amd64"))
    assert all(len(package.datahash) == 64 for package in lock.contents.packages)
    assert all("BEGIN PUBLIC KEY" in key.content for key in lock.contents.keyring)


@needs("shared")
def test_locks_of_an_old_apko_are_refused_with_a_next_step() -> None:
    from imagist.build.lockfile import parse_lock
    from imagist.errors import RequestError

    name = "apko.pre-0.13.lock.json"
    with pytest.raises(RequestError) as refused:
        parse_lock((TESTDATA / "apko-configs" / name).read_bytes(), name)
    assert any("lock again" in (problem.help or "") for problem in refused.value.problems)


def test_options_append_to_the_declaration(workshop: Workshop) -> None:
    name = workshop.write("contents: {packages: [demo-baselayout]}\narchs: [x86_64]\n")
    image = build_one(
        workshop, name, "-r", "repo", "-b", "more", "-k", "demo-test-only.rsa.pub",
        "-p", "built-from,greeter-modern", "--annotation", "a=b=c",
    )  # fmt: skip
    tree = read_tree(image)
    assert {"usr/share/built", "etc/greeter.conf"} <= {node.entry.path for node in tree}
    assert content(tree, "etc/apk/repositories") == "repo\n"
    assert json.loads(image.raw_manifest)["annotations"]["a"] == "b=c"


def test_packages_are_taken_from_a_server(workshop: Workshop, repositories: Path) -> None:
    import functools
    import http.server
    import threading

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Handler, directory=str(repositories))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/repo"
        name = workshop.write(
            f"contents: {{repositories: ['{address}'], packages: [hello], "
            "keyring: [demo-test-only.rsa.pub]}\narchs: [x86_64]\n"
        )
        remote = workshop.build(name)
        server.shutdown()
    assert workshop.run("build", name, "--offline").out.strip() == remote
