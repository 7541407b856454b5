"""Tensors, primitives, the tape and graphs: everything that knows what a gradient is."""
