"""Turn a graph into steps over planned memory, run them, and explain them."""
