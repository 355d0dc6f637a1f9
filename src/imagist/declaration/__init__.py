"""What a user declares: its structs, loading with includes, checks, defaults, and its schema."""
