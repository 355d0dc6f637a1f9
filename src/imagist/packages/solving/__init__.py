"""What the solvers of all package formats share: the search, and what a solution is."""
