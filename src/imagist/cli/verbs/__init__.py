"""The rows of the table of commands, a module for each room of verbs."""
