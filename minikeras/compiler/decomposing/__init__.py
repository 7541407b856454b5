"""Write large primitives in small ones, which loops can fuse."""
