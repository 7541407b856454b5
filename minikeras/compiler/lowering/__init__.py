"""Choose kernels for the groups of a graph."""
