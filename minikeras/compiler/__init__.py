"""Turn traced functions into native code: trace, rewrite, fuse, lower, plan, run."""
