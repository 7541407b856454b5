"""Write, compile, keep and run native code: what knows the machine."""
