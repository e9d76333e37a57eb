"""Rules L: losses and outputs."""
