"""Decide which nodes of a graph become one kernel, and in which order they run."""
