"""The command face: a table of commands, and one module for each command's work."""
