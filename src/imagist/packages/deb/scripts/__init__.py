"""Maintainer scripts: read, followed as far as they are understood, and never run."""
