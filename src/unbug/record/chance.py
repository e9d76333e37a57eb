"""Numbers that were drawn from a global generator which nobody seeded: the `drawn` event, told at the end.

Generators are only looked at, when the recorder begins and when it closes. NumPy's legacy generator holds the
entropy that it was made from until it is seeded.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

import numpy as np

__all__ = ["Chance"]


class Chance:
    """The states of the global generators of Python and NumPy, as they were."""

    def __init__(self) -> None:
        self._python = hash(random.getstate())
        self._numpy = _numpy_state()

    def fields(self, seeded: Collection[str]) -> dict[str, Any]:
        """What was drawn from without being seeded.

        Args:
            seeded: Generators that were seen to be seeded, among `torch`, `python`.
        """
        now = _numpy_state()
        python = "python" not in seeded and hash(random.getstate()) != self._python
        numpy = now is not None and self._numpy is not None and now != self._numpy
        return {
            "torch_seeded": "torch" in seeded,
            "unseeded": [name for name, drawn in (("python", python), ("numpy", numpy)) if drawn],
        }


def _numpy_state() -> int | None:
    """A number for the state of the global generator; None once it was seeded, or cannot be read."""
    source = getattr(getattr(np.random, "mtrand", None), "_rand", None)
    bits = getattr(source, "_bit_generator", None)
    if source is None or bits is None or getattr(bits, "seed_seq", None) is None:
        return None
    state = source.get_state(legacy=False)
    inner = state.get("state") or {}
    key = inner.get("key")
    return None if key is None else hash((key.tobytes(), inner.get("pos"), state.get("has_gauss")))
