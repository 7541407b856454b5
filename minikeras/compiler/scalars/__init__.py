"""Write elementwise ops: a table, and the vector functions behind it."""
