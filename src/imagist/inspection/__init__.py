"""Looking into images that anyone built: what is in them, and what differs between two."""
