"""File trees: entries with full metadata, the merged tree, and tar in and out. No I/O on disk."""
