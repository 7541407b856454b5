"""Simplify graphs by tables of patterns and what takes their place."""
