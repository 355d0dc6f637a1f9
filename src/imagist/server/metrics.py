"""What the server counts, as the text that Prometheus reads (exposition format 0.0.4)."""

from __future__ import annotations

import threading
from typing import Final

import msgspec

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
"""Seconds."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
"""Others are counted as one, since clients may make up as many as they like."""


class Seen(msgspec.Struct, frozen=True):
    """One request and its answer, as far as it is counted and logged."""

    kind: str
    method: str
    status: int
    received: int
    """Bytes of the request's body."""
    sent: int
    """Bytes of the answer's body."""
    seconds: float


class Metrics:
    """Counters; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds = 0.0
        self._received = 0
        self._sent = 0
        self.in_flight = 0
        """Requests that are being answered."""

    def begin(self) -> None:
        """A request has come."""
        with self._lock:
            self.in_flight += 1

    def end(self, seen: Seen) -> None:
        """It has been answered."""
        method = seen.method if seen.method in _METHODS else "other"
        key = (seen.kind, method, seen.status)
        place = next((i for i, most in enumerate(_BUCKETS) if seen.seconds <= most), -1)
        with self._lock:
            self.in_flight -= 1
            self._requests[key] = self._requests.get(key, 0) + 1
            self._buckets[place] += 1
            self._seconds += seen.seconds
            self._received += seen.received
            self._sent += seen.sent

    def format(self) -> str:
        """All counters."""
        with self._lock:
            requests = sorted(self._requests.items())
            buckets, seconds = list(self._buckets), self._seconds
            received, sent, in_flight = self._received, self._sent, self.in_flight
        lines = _head("requests_total", "counter", "Requests by what they are about.")
        for (kind, method, status), count in requests:
            labels = f'kind="{kind}",method="{method}",status="{status}"'
            lines.append(f"imagist_requests_total{{{labels}}} {count}")
        lines += _head("request_seconds", "histogram", "Seconds until an answer was handed over.")
        total = 0
        for most, count in zip((*_BUCKETS, "+Inf"), buckets, strict=True):
            total += count
            lines.append(f'imagist_request_seconds_bucket{{le="{most}"}} {total}')
        lines.append(f"imagist_request_seconds_sum {seconds:.6f}")
        lines.append(f"imagist_request_seconds_count {total}")
        for name, kind, text, value in (
            ("received_bytes_total", "counter", "Bytes of request bodies.", received),
            ("sent_bytes_total", "counter", "Bytes of answers' bodies.", sent),
            ("requests_in_flight", "gauge", "Requests that are being answered.", in_flight),
        ):
            lines += [*_head(name, kind, text), f"imagist_{name} {value}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP imagist_{name} {text}", f"# TYPE imagist_{name} {kind}"]
