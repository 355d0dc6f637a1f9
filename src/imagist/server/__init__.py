"""The registry: the OCI distribution protocol over a store."""
