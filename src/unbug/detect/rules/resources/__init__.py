"""Rules R: resources, and how a run ended."""
