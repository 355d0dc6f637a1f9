"""A solved world of APK packages."""

from __future__ import annotations

from imagist.packages.apk.index import Candidate
from imagist.packages.solving import resolution
from imagist.packages.solving.resolution import Reason

__all__ = ["Chosen", "Reason", "Resolution"]

Chosen = resolution.Chosen[Candidate]
Resolution = resolution.Resolution[Candidate]
