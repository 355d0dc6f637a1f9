"""Formats of packages as building knows them: a folder for each, and a table of them."""
