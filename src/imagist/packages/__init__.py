"""Package formats: one folder for each, with the same file names in all of them."""
