"""Golden values made by Keras itself, and the cases they belong to."""
