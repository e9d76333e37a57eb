"""Rules K: several ranks of one run."""
