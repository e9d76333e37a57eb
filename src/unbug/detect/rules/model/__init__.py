"""Rules M: the model and its parameters."""
