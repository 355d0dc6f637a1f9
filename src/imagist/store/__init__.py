"""What is kept on disk: blobs by digest, remembered results, layouts and archives."""
