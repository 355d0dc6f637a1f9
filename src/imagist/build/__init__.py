"""Base images: from a declaration to layers, manifests and an index."""
