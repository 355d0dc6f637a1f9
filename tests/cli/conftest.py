"""The fixtures of builds, which most commands need."""

from build.conftest import repositories, workshop

__all__ = ["repositories", "workshop"]
