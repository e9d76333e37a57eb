"""Summaries within budgets, and the identity of steps, places and trainings."""

from unbug.record.kept_batches import KeptBatches
from unbug.record.kept_links import KeptLoss, Link, follow
from unbug.record.kept_models import KeptBatch, KeptModel
from unbug.record.kept_tree import mapped, tensors_in
from unbug.record.recorder import Recorder
from unbug.record.rows_seen import row_hashes

__all__ = [
    "KeptBatch",
    "KeptBatches",
    "KeptLoss",
    "KeptModel",
    "Link",
    "Recorder",
    "follow",
    "mapped",
    "row_hashes",
    "tensors_in",
]
