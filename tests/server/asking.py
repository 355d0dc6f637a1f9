"""Asking a registry over HTTP, as plainly as can be."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from imagist.digest import Digest, sha256
from imagist.errors import ImagistError
from imagist.oci import mediatype
from imagist.server.messages import FilePart, Refusal, Request, Response
from imagist.server.registry import Registry, explain


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The registry's own word for what is wrong."""
        return str(self.json["errors"][0]["code"])


class Pusher:
    """What can be done with a registry, however it is asked."""

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask; an iterable is sent in chunks of unknown number."""
        raise NotImplementedError

    def put_blob(self, repository: str, data: bytes) -> Digest:
        """Push a blob, which must succeed."""
        digest = sha256(data)
        begun = self("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        done = self("PUT", f"{begun.headers['location']}?digest={digest}", data)
        assert done.status == 201, done
        return digest

    def put_manifest(self, repository: str, reference: str, document: object) -> Digest:
        """Push a manifest, which must succeed."""
        raw = json.dumps(document).encode()
        kind = document.get("mediaType") if isinstance(document, dict) else None
        done = self(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            raw,
            {"content-type": kind or mediatype.MANIFEST},
        )
        assert done.status == 201, done
        return Digest(done.headers["docker-content-digest"])

    def put_image(self, repository: str, tag: str, *layers: bytes) -> Digest:
        """Push an image of some layers, which must succeed."""
        config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
        for data in (config, *layers):
            self.put_blob(repository, data)
        return self.put_manifest(repository, tag, image_of(config, *layers))


def describe(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def image_of(config: bytes, *layers: bytes, **more: Any) -> dict[str, Any]:
    """The manifest of an image."""
    return {
        "schemaVersion": 2,
        "mediaType": mediatype.MANIFEST,
        "config": describe(config, mediatype.CONFIG),
        "layers": [describe(data, mediatype.LAYER_TAR) for data in layers],
        **more,
    }


class Asker(Pusher):
    """Asks one registry, over a connection that stays open; not for several threads."""

    def __init__(self, address: str, authorization: str = "") -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._fields = {"authorization": authorization} if authorization else {}

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        fields = {**self._fields, **(headers or {})}
        self._connection.request(method, path, body, fields)
        answer = self._connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class Direct(Pusher):
    """Asks a registry without a web server in between."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        if isinstance(body, bytes):
            fields.setdefault("content-length", str(len(body)))
        elif body is not None:
            fields["transfer-encoding"] = "chunked"
        pieces = [body] if isinstance(body, bytes) else list(body or ())
        place, _, query = path.partition("?")
        request = Request(method, place, fields, query, "192.0.2.1")
        try:
            response = self._answer(request, pieces)
        except (Refusal, ImagistError) as error:
            response = explain(error)
        found = dict(response.headers)
        if isinstance(response.body, FilePart):
            with open(response.body.path, "rb") as file:
                data = file.read()[response.body.start : response.body.end]
        else:
            data = response.body
        assert found.get("content-length", str(len(data))) == str(len(data))
        return Answer(response.status, found, b"" if method == "HEAD" else data)

    def _answer(self, request: Request, pieces: list[bytes]) -> Response:
        answer = self._registry.begin(request)
        if isinstance(answer, Response):
            return answer
        try:
            for piece in pieces:
                answer.write(piece)
            return answer.finish()
        finally:
            answer.abort()
