"""Requests to one registry: which scheme it speaks, who asks, and what it warns of."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urljoin

from msgspec.structs import replace

from imagist.errors import ImagistError, NetworkError, RequestError
from imagist.net.body import Body
from imagist.net.connection import Mistrusted, NoTLS
from imagist.net.retry import Manner
from imagist.net.transport import NO_HEADERS, Response, Transport
from imagist.net.url import is_remote, origin_of, redact
from imagist.oci.reference import DOCKER_HUB
from imagist.registry.refusal import Refused, read_refusal, secrets_of
from imagist.registry.scope import Authorization, Scope

_HUB: Final = "registry-1.docker.io"
"""Where the registry that everybody calls docker.io is."""
_WARNING: Final = r'299 - "((?:[^"\\]|\\.)*)"'
_MOST_WARNINGS: Final = 4096
"""Characters of warnings of one answer that are looked at (distribution-spec, "Warnings")."""
ANY_STATUS: Final = Manner(any_status=True)
_PROBE: Final = Manner(repeat=False, any_status=True)


class Session:
    """Speaks with one registry; safe for many threads."""

    def __init__(
        self,
        registry: str,
        transport: Transport,
        authorization: Authorization,
        *,
        insecure: bool = False,
        notice: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            registry: its host, with a port where it has one of its own.
            transport: makes the requests; it must bring no credentials of its own.
            authorization: knows who asks.
            insecure: whether plain http will do where https does not answer.
            notice: told what the registry warns of.
        """
        self.registry = registry
        self._transport = transport
        self._authorization = authorization
        self._insecure = insecure
        self._notice = notice
        self._url = ""
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._secrets: set[str] = set()
        """What was sent to say who asks; some servers repeat it in their errors."""

    @property
    def url(self) -> str:
        """`scheme://host[:port]` of the registry.

        Plain http is spoken with this machine, or where the caller allows it; there the registry
        is asked which it speaks.

        Raises:
            NetworkError: it cannot be reached.
        """
        if not self._url:
            with self._lock:
                if not self._url:
                    self._url = self._find_url()
        return self._url

    def send(
        self,
        method: str,
        path: str,
        *,
        scopes: Sequence[Scope],
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes | Body | None = None,
        manner: Manner = ANY_STATUS,
    ) -> Response:
        """Make a request, authorized where the registry asks for that.

        Args:
            method: `GET` ...
            path: a path at the registry, or a URL that `locate` gave.
            scopes: what the request does, for the token.
            headers: headers to add.
            body: what to send.
            manner: how it may be repeated.

        Raises:
            NetworkError: no server gave an answer, or credentials are wanted that are not known.
        """
        url = path if is_remote(path) else self.url + path
        ours = origin_of(url) == origin_of(self.url)
        header = self._authorization.header(self.url, scopes) if ours else None
        response = self._ask(method, url, headers, header, body, manner)
        if response.status == 401 and ours and origin_of(response.url) == origin_of(url):
            answer = self._authorization.answer(
                self.url, response.values("www-authenticate"), scopes, refused=header
            )
            if answer is not None:
                response.close()
                response = self._ask(method, url, headers, answer, body, manner)
                if response.status == 401:
                    response.close()
                    raise self._authorization.explain(self.url, scopes)
        return response

    def expect(
        self,
        accept: frozenset[int],
        method: str,
        path: str,
        *,
        scopes: Sequence[Scope],
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes | Body | None = None,
        manner: Manner = ANY_STATUS,
    ) -> Response:
        """Make a request, and take only the answers that are of use; see `send`.

        Raises:
            Missing: there is nothing there.
            Refused: the registry refuses.
            NetworkError: no server gave an answer.
        """
        response = self.send(
            method, path, scopes=scopes, headers=headers, body=body, manner=manner
        )
        if response.status in accept:
            return response
        raise self.refusal(response, method, path, scopes)

    def refusal(
        self, response: Response, method: str, path: str, scopes: Sequence[Scope]
    ) -> ImagistError:
        """The error that an answer means, which is read and closed; arguments as of `send`."""
        url = path if is_remote(path) else self.url + path
        error = read_refusal(response, method, url, secrets=self._secrets)
        if isinstance(error, Refused) and error.status == 403 and not error.is_over_quota:
            return self._authorization.explain(self.url, scopes, error)
        return error

    def locate(self, response: Response, base: str) -> str:
        """Where a `Location` header leads: an upload goes on there.

        Args:
            response: the answer that has it.
            base: the URL or path that was asked.

        Raises:
            NetworkError: there is none, or it leads where a registry has no business.
        """
        location = response.headers.get("location", "")
        base = base if is_remote(base) else self.url + base
        target = join(base, location) if location else ""
        if not is_remote(target):
            raise NetworkError(f"{redact(base)}: the registry does not say where to upload to")
        own, other = origin_of(self.url), origin_of(target)
        if own.scheme == "https" and other.scheme == "http":
            if own.host != other.host:
                raise NetworkError(
                    f"{redact(base)}: uploads are to go to {redact(target)}, unencrypted"
                )
            # A proxy that ends TLS in front of a registry that does not know of it.
            return f"{self.url}/{'/'.join(target.split('/')[3:])}"
        if other.host != own.host and other.is_inside and not own.is_inside:
            raise NetworkError(
                f"{redact(base)}: uploads are to go to {other.name}, a private address",
                help="such an answer can make you attack your own network; ask who runs it",
            )
        return target

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        authorization: str | None,
        body: bytes | Body | None,
        manner: Manner,
    ) -> Response:
        sent = dict(headers)
        if authorization is not None:
            sent["Authorization"] = authorization
            self._secrets.update(secrets_of(authorization))
        try:
            response = self._transport.request(method, url, headers=sent, body=body, manner=manner)
        except NoTLS as error:
            if self._insecure or not url.startswith(self.url):
                raise
            [problem] = error.problems
            help_ = "if it speaks plain http, and you trust the way to it, add --insecure"
            raise NoTLS(replace(problem, help=help_)) from error
        self._tell_warnings(response)
        return response

    def _tell_warnings(self, response: Response) -> None:
        for value in response.values("warning"):
            for match in re.finditer(_WARNING, value[:_MOST_WARNINGS]):
                text = re.sub(r"\\(.)", r"\1", match[1])
                if text not in self._said:
                    self._said.add(text)
                    self._notice(f"{self.registry} says: {text}")

    def _find_url(self) -> str:
        host = _HUB if self.registry == DOCKER_HUB else self.registry
        secure, plain = f"https://{host}", f"http://{host}"
        loopback = origin_of(secure).is_loopback
        if not loopback and not self._insecure:
            return secure
        failures: list[NetworkError] = []
        for url in (plain, secure) if loopback else (secure, plain):
            try:
                with self._transport.request(
                    "GET", f"{url}/v2/", hasty=True, manner=_PROBE
                ) as response:
                    # A TLS server answers plain http with 400, in no protocol's name.
                    if response.status != 400:
                        return url
            except NetworkError as error:
                failures.append(error)
        # A TLS server may also say nothing to plain http: then what https lacks is the reason.
        mistrusted = [error for error in failures if isinstance(error, Mistrusted)]
        if failures:
            raise (mistrusted or failures)[0]
        raise NetworkError(f"{host} is no registry: it answers 400 to {plain}/v2/")


def join(base: str, location: str) -> str:
    """Where a registry leads, from where it was asked.

    Raises:
        NetworkError: it leads to no URL.
    """
    try:
        target = urljoin(base, location)
        if is_remote(target):
            origin_of(target)
    except (ValueError, RequestError):
        raise NetworkError(
            f"{redact(base)}: the registry leads to something that is no URL",
            help="ask whoever runs it",
        ) from None
    return target
