"""The Debian format: versions, relations, indexes, releases, sources, solver, repositories."""
