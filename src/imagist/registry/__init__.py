"""Registries over HTTP (distribution-spec): a client that moves only what is missing."""
