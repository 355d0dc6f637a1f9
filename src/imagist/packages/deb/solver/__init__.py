"""Choosing Debian packages: apt's walk first, a search where that gets stuck, and the reasons."""
