"""Rules N: NaN and infinity."""
