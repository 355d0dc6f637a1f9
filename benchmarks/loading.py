"""A client that costs as little as can be, to measure registries with: bytes over bare sockets."""

from __future__ import annotations

import json
import selectors
import socket
from hashlib import sha256
from typing import Self

from imagist.oci import mediatype

_HEAD_END = b"\r\n\r\n"


class Connection:
    """One connection to a registry on this machine."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, line: str, body: bytes = b"", fields: str = "") -> tuple[dict[str, str], bytes]:
        """The header of an answer, and what has come of its body; anything but 2xx is an error."""
        length = f"Content-Length: {len(body)}\r\n" if not line.startswith(("GET", "HEAD")) else ""
        head = f"{line} HTTP/1.1\r\nHost: {self.address}\r\n{length}{fields}\r\n"
        self.socket.sendall(head.encode())
        if body:
            self.socket.sendall(body)
        return self.read_head()

    def read_head(self) -> tuple[dict[str, str], bytes]:
        """The next answer's header, and what has come of its body."""
        data = b""
        while _HEAD_END not in data:
            more = self.socket.recv(1 << 16)
            assert more, data
            data += more
        head, _, rest = data.partition(_HEAD_END)
        status, *lines = head.decode().split("\r\n")
        assert status.split()[1].startswith("2"), data[:500]
        pairs = (line.split(":", 1) for line in lines)
        return {name.lower(): value.strip() for name, value in pairs}, rest

    def push(self, repository: str, data: bytes) -> str:
        """Push a blob in two requests, as clients do; its digest."""
        digest = f"sha256:{sha256(data).hexdigest()}"
        self.push_as(repository, data, digest)
        return digest

    def push_as(self, repository: str, data: bytes, digest: str) -> None:
        """Push a blob whose digest is known."""
        place = self.ask(f"POST /v2/{repository}/blobs/uploads/")[0]["location"]
        place = "/" + place.partition("://")[2].partition("/")[2] if "://" in place else place
        mark = "&" if "?" in place else "?"
        kind = "Content-Type: application/octet-stream\r\n"
        self.ask(f"PUT {place}{mark}digest={digest}", data, kind)

    def pull(self, repository: str, digest: str) -> int:
        """Pull a blob and look at nothing of it; its size."""
        head, rest = self.ask(f"GET /v2/{repository}/blobs/{digest}")
        size, got = int(head["content-length"]), len(rest)
        buffer = bytearray(1 << 20)
        while got < size:
            more = self.socket.recv_into(buffer)
            assert more
            got += more
        return got

    def push_image(self, repository: str, tag: str) -> None:
        """Push a small image."""
        config = b"{}"
        item = {"mediaType": mediatype.CONFIG, "digest": self.push(repository, config), "size": 2}
        document = {"schemaVersion": 2, "mediaType": mediatype.MANIFEST, "config": item}
        raw = json.dumps(document | {"layers": []}).encode()
        kind = f"Content-Type: {mediatype.MANIFEST}\r\n"
        self.ask(f"PUT /v2/{repository}/manifests/{tag}", raw, kind)


def ask_for_heads(address: str, path: str, count: int, clients: int) -> int:
    """Ask for the header of a manifest so many times, by clients that wait for each answer."""
    request = (
        f"HEAD {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {mediatype.MANIFEST}\r\n\r\n"
    ).encode()
    left, answered = count, 0
    with selectors.DefaultSelector() as selector:
        connections = [Connection(address) for _ in range(clients)]
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ)
            connection.socket.sendall(request)
            left -= 1
        while answered < count:
            for key, _ in selector.select():
                found = key.fileobj
                assert isinstance(found, socket.socket)
                data = found.recv(1 << 16)
                assert data.startswith(b"HTTP/1.1 200 "), data
                assert data.endswith(_HEAD_END), data
                answered += 1
                if left:
                    found.sendall(request)
                    left -= 1
        for connection in connections:
            connection.socket.close()
    return answered
