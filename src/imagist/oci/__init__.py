"""The OCI image specification as values: pure, without files or sockets."""
