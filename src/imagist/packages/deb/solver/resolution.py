"""A solved world of Debian packages."""

from __future__ import annotations

from imagist.packages.deb.universe import Candidate
from imagist.packages.solving import resolution
from imagist.packages.solving.resolution import Reason

__all__ = ["Chosen", "Reason", "Resolution"]

Chosen = resolution.Chosen[Candidate]
Resolution = resolution.Resolution[Candidate]
