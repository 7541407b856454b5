"""Let programs that no one asked to compile use native code where that pays."""
