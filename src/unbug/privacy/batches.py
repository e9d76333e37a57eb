"""What may be written of the data that the program trains on, where `privacy.batches` is not `keep`.

Shapes, types and counts of rows are no data and stay; so do losses, accuracies and all that the model makes
of the data. Ranges, means, histograms and per-feature statistics go. Fingerprints of rows go with `off`; with
`hash` they stay as hashes under a key that is made for the process and kept nowhere: equal rows of one
process can be told, and nobody can test later whether a row that they have was among them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

__all__ = ["BatchPolicy"]

_WHOLE = frozenset({"input_features", "given", "answers", "association", "outputs"})
"""Kinds of events that are about values of the data and nothing else."""
_KEPT = ("name", "shape", "dtype", "device")
"""Of each tensor of a batch; anything else may be a value of it."""
_OF_LOSS = ("input_min", "input_max", "target_min", "target_max", "target_mean", "target_std")
_SERIES = "input."


class BatchPolicy:
    """Takes out of events and series what is not to be kept.

    Args:
        how: `hash` or `off`.
        key: Of the hashes; by default a new one, known to nobody.
    """

    def __init__(self, how: str, *, key: bytes | None = None) -> None:
        self._hashes = how == "hash"
        self._key = secrets.token_bytes(32) if key is None else key

    @classmethod
    def of(cls, how: str) -> BatchPolicy | None:
        """The policy of a setting; None where all is kept."""
        return None if how == "keep" else cls(how)

    def event(self, kind: str, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What of an event may be written; None: nothing."""
        if kind in _WHOLE:
            return None
        if kind == "batch":
            return {**fields, "tensors": [self._tensor(one) for one in fields.get("tensors", ())]}
        if kind == "loss_call":
            return {name: value for name, value in fields.items() if name not in _OF_LOSS}
        return fields

    def withholds(self, series: str, origin: str) -> bool:
        """Whether rows of this series are statistics of what the model was given."""
        return origin == "auto" and series.startswith(_SERIES)

    def _tensor(self, tensor: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: tensor[name] for name in _KEPT if name in tensor}
        if self._hashes and tensor.get("fingerprints"):
            kept["fingerprints"] = [self._hash(one) for one in tensor["fingerprints"]]
        return kept

    def _hash(self, fingerprint: str) -> str:
        return hashlib.blake2b(fingerprint.encode(), key=self._key, digest_size=8).hexdigest()
