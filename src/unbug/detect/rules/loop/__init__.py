"""Rules T: the training loop."""
