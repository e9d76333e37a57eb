"""Summaries within budgets, and the identity of steps, places and trainings."""

from unbug.record.recorder import Recorder

__all__ = ["Recorder"]
