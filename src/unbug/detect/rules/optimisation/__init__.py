"""Rules O: learning rate and progress."""
