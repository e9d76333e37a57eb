"""Rules D: the data."""
