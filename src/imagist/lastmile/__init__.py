"""Applications as layers: wheels, the project itself, files and binaries."""
