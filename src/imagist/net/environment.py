"""What the environment says about the network, read in this one place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import msgspec


class Environment(msgspec.Struct, frozen=True):
    """The variables that concern the network; empty where one is not set."""

    http_proxy: str = ""
    """URL of the proxy for http: URLs; a bare `host:port` is one as well."""
    https_proxy: str = ""
    no_proxy: str = ""
    """Hosts, domains, addresses and networks that are asked directly, by comma."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust, instead of the system's."""
    ca_folder: str = ""
    """Folder of the same, by OpenSSL's hashed names."""
    http_auth: str = ""
    """`basic:<host>[:<port>]:<user>:<password>`, as apko has it."""
    netrc: str = ""
    """Path of a netrc file, which need not exist."""
    certificate_folders: tuple[str, ...] = ()
    """Folders with a folder of certificates for each server that has its own."""

    def __repr__(self) -> str:
        return "Environment(***)"  # proxies and http_auth have passwords in them


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment of the process, or the one given.

    Proxies are set in either case, lower case first. `HTTP_PROXY` in upper case is passed over in
    a CGI process, where it is a header of the request (as in curl and Go).
    """
    get = (os.environ if variables is None else variables).get

    def either(name: str) -> str:
        return get(name.lower(), "") or get(name, "")

    cgi = "REQUEST_METHOD" in (os.environ if variables is None else variables)
    home = get("HOME", "")
    return Environment(
        http_proxy=get("http_proxy", "") if cgi else either("HTTP_PROXY"),
        https_proxy=either("HTTPS_PROXY"),
        no_proxy=either("NO_PROXY"),
        ca_file=get("SSL_CERT_FILE", "") or get("REQUESTS_CA_BUNDLE", ""),
        ca_folder=get("SSL_CERT_DIR", ""),
        http_auth=get("HTTP_AUTH", ""),
        netrc=get("NETRC", "") or (f"{home}/.netrc" if home else ""),
        certificate_folders=tuple(_find_certificates(home)),
    )


def _find_certificates(home: str) -> Iterator[str]:
    """Where Podman and Docker look, the user's own first."""
    if home:
        yield f"{home}/.config/containers/certs.d"
        yield f"{home}/.docker/certs.d"
    yield "/etc/containers/certs.d"
    yield "/etc/docker/certs.d"
