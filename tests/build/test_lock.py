"""`imagist lock`: what a lock states is what a build gives, with it and without it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from build.commandline import run
from build.conftest import Workshop
from build.locking import lock, made, offer, own, read
from fixtures.demo import write_demo
from fixtures.maker import Apk, file, load_key, write_repository
from fixtures.webserver import Answer, serve
from packages.apk.test_keys import jwk
from support import ROOT

ARCHITECTURES = ("x86_64", "aarch64")
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
EVERYTHING = """
contents:
  repositories: [repo, '@extra extra']
  build_repositories: [more]
  runtime_repositories: ['https://user:secret@example.org/later']
  keyring: [demo-test-only.rsa.pub]
  packages: [hello, demo-web, demo-permissions, greeter-modern, special@extra, built-from]
  platform_packages: {amd64: [docs]}
layering: {strategy: %s}
files: [{path: /etc/motd, content: hi}]
archs: [amd64, arm64]
"""


def check_everywhere(workshop: Workshop, name: str = "image.yaml", *flags: str) -> None:
    """The lock's digests are those of builds on empty and full stores, with and without it."""
    at = Path(name).with_suffix(".lock.json")
    assert run("lock", name, "--cache", workshop.folder / "elsewhere", *flags).code == 0
    stated = read(workshop.folder / at)
    digests = {"": stated["index"]["digest"]}
    digests |= {image["platform"]: image["digest"] for image in stated["images"]}
    for store in ("without", "with", "elsewhere"):
        words = [[name], [name, "--lock", str(at)], [str(at)]]
        for thing in words[:1] if store == "without" else words:
            for platform, digest in digests.items():
                chosen = ["--platform", platform] if platform else []
                answer = run("build", *thing, *chosen, *flags, "--cache", workshop.folder / store)
                assert (answer.code, answer.out.strip()) == (0, digest), (answer, thing, store)


@pytest.mark.parametrize("strategy", ["package", "origin", "single"])
def test_a_lock_states_what_every_build_gives(workshop: Workshop, strategy: str) -> None:
    workshop.write(EVERYTHING % strategy)
    check_everywhere(workshop)


def test_a_lock_states_what_a_build_on_a_base_image_gives(workshop: Workshop) -> None:
    workshop.build(workshop.declare("[demo-baselayout, demo-libc]"), "-o", "base")
    workshop.write(
        "contents:\n  repositories: [repo]\n  keyring: [demo-test-only.rsa.pub]\n"
        "  packages: [hello]\n  baseimage: {image: base}\narchs: [x86_64]\n"
    )
    check_everywhere(workshop)


def test_a_lock_of_one_file_system_image(workshop: Workshop) -> None:
    workshop.declare("[hello, demo-permissions]", "format: erofs\n")
    check_everywhere(workshop)


def test_a_lock_counts_the_options_of_the_build(workshop: Workshop) -> None:
    workshop.declare("[hello]")
    flags = ("--annotation", "a=b", "--build-date", "2031-01-01", "--package-append", "docs")
    check_everywhere(workshop, "image.yaml", *flags)


def test_a_lock_of_nothing(workshop: Workshop) -> None:
    workshop.declare("[]")
    check_everywhere(workshop)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_lock_of_an_example(workshop: Workshop, path: Path) -> None:
    """With packages of the same names from a repository that is here."""
    document = yaml.safe_load(path.read_text())
    contents = document["contents"]
    more = contents.get("platform_packages", {}).values()
    names = [*contents["packages"], *(name for names in more for name in names)]
    apks = [Apk(name, items=[file(f"opt/{name}", name * 9_000)]) for name in names]
    written = write_repository(workshop.folder / "here", dict.fromkeys(ARCHITECTURES, apks))
    contents |= {"repositories": ["here"], "keyring": [str(written.key)]}
    for source in {item["source"] for item in document.get("files", ()) if "source" in item}:
        if not (path.parent / source).exists():  # which whoever takes the example brings
            (workshop.folder / source).write_bytes(b"\x7fELF")
    workshop.write(yaml.safe_dump(document))
    check_everywhere(workshop)


def test_a_lock_of_the_demo(workshop: Workshop) -> None:
    shutil.copy(write_demo(workshop.folder / "demo"), workshop.folder / "image.yaml")
    check_everywhere(workshop)


def test_a_lock_needs_no_index_and_a_full_store_no_package(workshop: Workshop) -> None:
    workshop.write(EVERYTHING % "package")
    expected = lock(workshop)["index"]["digest"]
    for name in ("repo", "more", "extra"):
        shutil.rmtree(workshop.folder / name)
    assert workshop.build("image.yaml", "--lock", "image.lock.json") == expected
    assert workshop.build("image.lock.json", "--offline") == expected


def test_a_package_has_its_place_in_the_file_and_its_layer(workshop: Workshop) -> None:
    packages = [Apk("signed", items=[file("usr/share/big", bytes(range(256)) * 999)])]
    written = write_repository(workshop.folder / "own", {"x86_64": packages}, sign_packages=True)
    workshop.write(
        f"contents:\n  repositories: [own]\n  keyring: [{written.key}]\n"
        "  packages: [signed]\narchs: [x86_64]\n"
    )
    (package,) = lock(workshop)["contents"]["packages"]
    (made,) = written.packages["x86_64"].values()
    blob = made.blob

    def cut(segment: str) -> bytes:
        first, last = package[segment]["range"].removeprefix("bytes=").split("-")
        return blob[int(first) : int(last) + 1]

    assert [cut(each) for each in ("signature", "control", "data")] == [
        made.signature, made.control, made.data,
    ]  # fmt: skip
    assert package["layer"]["digest"] == f"sha256:{made.datahash}"
    assert package["layer"]["size"] == len(made.data)
    assert package["layer"]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"


def test_a_package_that_can_be_no_layer_states_none(workshop: Workshop) -> None:
    odd = Apk("odd", items=[file("etc/odd", "x"), file("etc/odd", "x")])
    offer(workshop, odd, made("even"))
    own(workshop, "[odd, even]", "[x86_64]")
    packages = lock(workshop)["contents"]["packages"]
    assert {p["name"]: "layer" in p for p in packages} == {"odd": False, "even": True}


def test_a_lock_holds_no_password(workshop: Workshop) -> None:
    workshop.write(EVERYTHING % "single")
    text = json.dumps(lock(workshop))
    assert "secret" not in text
    assert "https://example.org/later/x86_64/APKINDEX.tar.gz" in text


def test_a_lock_is_the_same_wherever_it_is_made_and_found_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workshop.folder / "deep").mkdir()
    text = (workshop.folder / workshop.declare()).read_text()
    text = text.replace("[repo]", f"[{workshop.folder}/repo]")
    text = text.replace("[demo-test", f"[{workshop.folder}/demo-test")
    workshop.write(text, "deep/image.yaml")
    assert workshop.run("lock", "deep/image.yaml").out == "deep/image.lock.json\n"
    first = (workshop.folder / "deep/image.lock.json").read_bytes()
    expected = workshop.build("deep/image.lock.json")
    assert workshop.run("lock", "deep/image.yaml", "-o", "other.lock.json").code == 0
    assert read(workshop.folder / "other.lock.json")["config"]["name"] == "deep/image.yaml"
    assert workshop.build("other.lock.json") == expected
    monkeypatch.chdir(workshop.folder / "deep")
    assert workshop.run("lock", "image.yaml").code == 0
    assert Path("image.lock.json").read_bytes() == first
    assert json.loads(first)["config"]["name"] == "image.yaml"


def test_a_lock_that_would_be_the_same_is_not_written(workshop: Workshop) -> None:
    workshop.declare()
    lock(workshop)
    path = workshop.folder / "image.lock.json"
    before = path.stat().st_ino
    answer = workshop.run("lock", "image.lock.json", "--json")
    assert json.loads(answer.out)["changed"] is False
    assert path.stat().st_ino == before
    path.write_bytes(path.read_bytes() + b"\n")
    assert json.loads(workshop.run("lock", "image.yaml", "--json").out)["changed"] is True
    assert path.stat().st_ino != before


def test_what_is_no_lock_is_not_overwritten(workshop: Workshop) -> None:
    workshop.declare()
    workshop.write('{"name": "mine"}', "package.json")
    answer = workshop.run("lock", "image.yaml", "-o", "package.json")
    assert answer.code == 3
    assert "package.json" in answer.err
    assert (workshop.folder / "package.json").read_text() == '{"name": "mine"}'
    assert workshop.run("lock", "image.yaml", "-o", "repo").code == 2


def test_a_lock_too_old_to_build_from_is_written_anew(workshop: Workshop) -> None:
    workshop.declare()
    workshop.write('{"version": "v1"}', "image.lock.json")
    answer = workshop.run("lock", "image.yaml")
    assert answer.code == 0
    assert "written anew" in answer.err
    assert workshop.run("lock", "image.yaml", "--check").code == 0


def test_a_lock_over_http_with_announced_keys_and_a_password(workshop: Workshop) -> None:
    """The keys come back from the lock, and the password from the declaration."""
    with serve() as web:
        web.serve_folder(workshop.folder / "repo", "/os")
        keys = {"keys": [jwk(load_key().public_pem, "demo-test-only")]}
        body = {"jwks_uri": web.on("/jwks", Answer(body=json.dumps(keys).encode()))}
        web.on("/os/apk-configuration", Answer(body=json.dumps(body).encode()))
        address = web.url.replace("://", "://me:secret@") + "/os"
        workshop.write(
            f"contents: {{repositories: ['{address}'], packages: [hello]}}\narchs: [x86_64]\n"
        )
        check_everywhere(workshop)
        web.asked.clear()
        assert run("build", "image.lock.json", "--cache", workshop.folder / "fourth").code == 0
        assert {Path(asked.path).suffix for asked in web.asked} == {".apk"}
        assert all("authorization" in asked.headers for asked in web.asked)
        assert workshop.run("lock", "image.yaml", "--check").code == 0
    text = (workshop.folder / "image.lock.json").read_text()
    (locked,) = json.loads(text)["contents"]["keyring"]
    assert locked["url"] == f"{web.url}/os/demo-test-only.rsa.pub"
    assert locked["name"] == locked["url"].removeprefix("http://")
    assert "secret" not in text
    assert f"{web.url}/os/x86_64/hello-1.1.0-r0.apk" in text


def test_the_file_name_of_an_announced_key() -> None:
    """Their file names are escaped in a URL."""
    from imagist.build.lockfile import LockedKey

    url = "https://alpinelinux.org/keys/alpine-devel%40lists.alpinelinux.org-1.rsa.pub"
    key = LockedKey(name=url.removeprefix("https://"), url=url)
    assert key.file_name == "alpine-devel@lists.alpinelinux.org-1.rsa.pub"


def test_a_lock_without_a_package_that_is_asked_for_is_refused(workshop: Workshop) -> None:
    workshop.declare()
    lock(workshop)
    code, out, err = workshop.run(
        "build", "image.yaml", "--lock", "image.lock.json", "-p", "greeter-modern"
    )
    assert (code, out) == (2, "")
    assert "image.lock.json does not have greeter-modern" in err


def test_a_lock_of_another_declaration_says_of_which(workshop: Workshop) -> None:
    workshop.declare()
    lock(workshop)
    workshop.write("contents: {packages: []}\n", "other.yaml")
    code, _, err = workshop.run("build", "other.yaml", "--lock", "image.lock.json")
    assert code == 2
    assert "image.lock.json was made from image.yaml" in err


def test_a_lock_that_has_a_package_twice_is_refused(workshop: Workshop) -> None:
    workshop.declare()
    document = lock(workshop)
    packages = document["contents"]["packages"]
    packages.insert(0, packages[-1] | {"architecture": "noarch", "url": "/elsewhere/evil.apk"})
    workshop.write(json.dumps(document), "image.lock.json")
    for words in (
        ("lock", "image.yaml", "--check"),
        ("build", "image.yaml", "--lock", "image.lock.json"),
    ):
        code, out, err = workshop.run(*words)
        assert (code, out) == (2, "")
        assert "twice" in err


def test_a_lock_is_not_written_over_what_is_no_file(workshop: Workshop) -> None:
    workshop.declare()
    (workshop.folder / "folder").mkdir()
    assert workshop.run("lock", "image.yaml", "-o", "folder").code in {2, 3}
    os.mkfifo("pipe")
    assert workshop.run("lock", "image.yaml", "-o", "pipe").code == 3
    assert (workshop.folder / "pipe").is_fifo()
