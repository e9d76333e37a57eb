"""Callbacks for those who start runs in a framework's own way: one module a framework, loaded by its import.

None is needed to record: `unbug run train.py` sees the same without a line. A callback begins and ends the
run, gives the model its name, and marks evaluations and epochs.
"""

from __future__ import annotations

__all__: list[str] = []
