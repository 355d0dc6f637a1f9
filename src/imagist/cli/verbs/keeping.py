"""Commands about imagist itself: its store, its registry, and what it understands."""

from __future__ import annotations

from imagist.cli.command import Argument, Command, Flag

KEEPING = (
    Command(
        "cache",
        "look at or tidy the store",
        "imagist.cli.cache",
        (Argument("what", "what to do", choices=("info", "prune", "verify")),),
        (
            Flag("older-than", "prune what was not used for so many days", metavar="DAYS"),
            Flag(
                "max-size", "prune the least used until the store is this small", metavar="BYTES"
            ),
        ),
    ),
    Command(
        "serve",
        "be a registry, from the store or a folder",
        "imagist.cli.serve",
        (Argument("folder", "a store of its own, or an OCI layout to pull from", optional=True),),
        (
            Flag(
                "listen",
                "where to listen; port 0 takes a free one (default: 127.0.0.1:5000)",
                metavar="HOST:PORT",
                default="127.0.0.1:5000",
            ),
            Flag("tls-cert", "serve https with this certificate (PEM)", metavar="FILE"),
            Flag("tls-key", "the certificate's key (PEM)", metavar="FILE"),
            Flag("htpasswd", "let only these users in (htpasswd -B)", metavar="FILE"),
            Flag("anonymous-pull", "let everybody pull, and users push", kind="switch"),
            Flag("read-only", "take nothing, remove nothing", kind="switch"),
            Flag("quota", "how much the store may hold: 500M, 2G", metavar="SIZE", kind="bytes"),
            Flag("sparse", "take manifests whose blobs or images are not here", kind="switch"),
            Flag("access-log", "write the access log here, not to stderr", metavar="FILE"),
        ),
        "Prints its address when it is ready, and nothing else; each request is a line of JSON on "
        "stderr (not with -q). What is pushed lies in the store that builds use, and what was "
        "built can be pushed here without its bytes being sent. `imagist cache prune` removes "
        "what no repository needs, while the registry runs. /metrics is for Prometheus.",
        (
            ("imagist serve", "at 127.0.0.1:5000, from the store"),
            (
                "imagist serve /srv/registry --listen 0.0.0.0:5000 --htpasswd users",
                "for others, who have passwords",
            ),
        ),
    ),
    Command(
        "schema",
        "print the JSON Schema of a declaration, for editors",
        "imagist.cli.schema",
        (
            Argument(
                "kind",
                "of an image's YAML (the default), or of a project's imagist.yaml",
                optional=True,
                choices=("image", "project"),
            ),
        ),
    ),
)
