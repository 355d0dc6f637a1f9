"""Locks of Python projects: one module reads each format, and all of them give a `Lock`."""
