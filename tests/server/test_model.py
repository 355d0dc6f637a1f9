"""Any order of requests gives what a model in a few dictionaries gives, also after `prune`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagist.digest import sha256
from imagist.oci import mediatype
from imagist.server.access import Access
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.blobs import Blobs
from imagist.store.prune import prune
from imagist.store.repositories import Repositories
from imagist.store.store import Store
from server.asking import Direct, describe, image_of
from support import MEMORY

NAMES = st.sampled_from(["a", "a/b", "c"])
TAGS = st.sampled_from(["1", "2", "latest"])
LAYERS = st.sampled_from([b"", b"x", b"layer " * 100])
CONFIG = b"{}"


class RegistryMachine(RuleBasedStateMachine):
    """A registry, and what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model", dir=MEMORY))
        Store.open(self.folder).close()
        self.blobs: dict[str, dict[str, bytes]] = {}
        """The members of each repository."""
        self.manifests: dict[str, dict[str, bytes]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.reopen()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule()
    def reopen(self) -> None:
        """A new process."""
        repositories = Repositories(Blobs(self.folder))
        self.ask = Direct(Registry(repositories, Policy(Access()), Metrics()))

    @rule(name=NAMES, data=LAYERS)
    def push_blob(self, name: str, data: bytes) -> None:
        digest = self.ask.put_blob(name, data)
        self.blobs.setdefault(name, {})[digest] = data

    @rule(name=NAMES, source=NAMES, data=LAYERS)
    def mount_blob(self, name: str, source: str, data: bytes) -> None:
        digest = sha256(data)
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from={source}")
        if digest in self.blobs.get(source, {}):
            assert answer.status == 201
            self.blobs.setdefault(name, {})[digest] = data
        else:
            assert answer.status == 202
            assert self.ask("DELETE", answer.headers["location"]).status == 204

    @rule(name=NAMES, data=LAYERS)
    def delete_blob(self, name: str, data: bytes) -> None:
        held = self.blobs.get(name, {}).pop(sha256(data), None)
        answer = self.ask("DELETE", f"/v2/{name}/blobs/{sha256(data)}")
        assert answer.status == (404 if held is None else 202)

    @rule(name=NAMES, tag=TAGS, layers=st.lists(LAYERS, max_size=2), refers=st.booleans())
    def push_image(self, name: str, tag: str, layers: list[bytes], refers: bool) -> None:
        for data in (CONFIG, *layers):
            self.push_blob(name, data)
        self.push_manifest(name, tag, layers, refers)

    @rule(name=NAMES, tag=TAGS, layers=st.lists(LAYERS, max_size=2), refers=st.booleans())
    def push_manifest(self, name: str, tag: str, layers: list[bytes], refers: bool) -> None:
        more: dict[str, Any] = {}
        if refers and self.tags.get(name):
            target = min(self.tags[name].values())
            raw = self.manifests[name][target]
            more["subject"] = describe(raw, mediatype.MANIFEST)
        raw = json.dumps(image_of(CONFIG, *layers, **more)).encode()
        held = self.blobs.get(name, {})
        kind = {"content-type": mediatype.MANIFEST}
        answer = self.ask("PUT", f"/v2/{name}/manifests/{tag}", raw, kind)
        if all(sha256(data) in held for data in (CONFIG, *layers)):
            assert answer.status == 201
            self.manifests.setdefault(name, {})[sha256(raw)] = raw
            self.tags.setdefault(name, {})[tag] = sha256(raw)
        else:
            assert answer.code == "MANIFEST_BLOB_UNKNOWN"

    @rule(name=NAMES, tag=TAGS)
    def delete_tag(self, name: str, tag: str) -> None:
        held = self.tags.get(name, {}).pop(tag, None)
        answer = self.ask("DELETE", f"/v2/{name}/manifests/{tag}")
        assert answer.status == (404 if held is None else 202)

    @precondition(lambda self: any(self.manifests.values()))
    @rule(data=st.data())
    def delete_manifest(self, data: st.DataObject) -> None:
        known = [(name, digest) for name, held in self.manifests.items() for digest in held]
        name, digest = data.draw(st.sampled_from(sorted(known)))
        assert self.ask("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
        del self.manifests[name][digest]
        kept = self.tags.get(name, {}).items()
        self.tags[name] = {tag: target for tag, target in kept if target != digest}

    @rule(old=st.booleans())
    def collect(self, old: bool) -> None:
        """Garbage is what no manifest names, and was not asked for lately."""
        if old:
            for path in self.folder.glob("repositories/**/_blobs/*/*"):
                os.utime(path, (1, 1))
            for name, held in self.blobs.items():
                used = {
                    blob["digest"]
                    for raw in self.manifests.get(name, {}).values()
                    for blob in (json.loads(raw)["config"], *json.loads(raw)["layers"])
                }
                self.blobs[name] = {d: data for d, data in held.items() if d in used}
        with Store.open(self.folder) as store:
            prune(store)
        files = {path.name for path in (self.folder / "blobs" / "sha256").iterdir()}
        wanted = {digest for held in self.blobs.values() for digest in held}
        wanted |= {digest for held in self.manifests.values() for digest in held}
        assert {f"sha256:{name}" for name in files} == wanted

    @invariant()
    def gives_what_it_holds(self) -> None:
        for name, held in self.blobs.items():
            for digest, data in held.items():
                assert self.ask("GET", f"/v2/{name}/blobs/{digest}").body == data
        for name, raws in self.manifests.items():
            listed = self.ask("GET", f"/v2/{name}/tags/list")
            tags = listed.json["tags"] if listed.status == 200 else []
            assert tags == sorted(self.tags.get(name, {}))
            for tag, digest in self.tags.get(name, {}).items():
                answer = self.ask("GET", f"/v2/{name}/manifests/{tag}")
                assert (answer.body, answer.headers["docker-content-digest"]) == (
                    raws[digest],
                    digest,
                )
            subjects: dict[str, set[str]] = {digest: set() for digest in raws}
            for digest, raw in raws.items():
                assert self.ask("GET", f"/v2/{name}/manifests/{digest}").body == raw
                if subject := json.loads(raw).get("subject"):
                    subjects.setdefault(subject["digest"], set()).add(digest)
            for subject, wanted in subjects.items():
                found = self.ask("GET", f"/v2/{name}/referrers/{subject}").json["manifests"]
                assert {item["digest"] for item in found} == wanted


TestModel = RegistryMachine.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
