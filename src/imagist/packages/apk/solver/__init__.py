"""Choosing packages: a complete solver for all platforms at once, that can explain itself."""
