"""Texts that people write and read: YAML with places, typed decoding, diagnostics, YAML out."""
