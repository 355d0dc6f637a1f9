"""Python packages: targets, locks, indexes and the choice of wheels, without running Python."""
