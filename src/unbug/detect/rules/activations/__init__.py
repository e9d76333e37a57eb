"""Rules A: activations."""
