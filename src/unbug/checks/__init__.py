"""Checks of a model that somebody, or the end of a run, asks for; one file each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.checks.probes import Asked, ask_probes, can_be_apart, in_child, run_probes

__all__ = ["Asked", "ask_probes", "can_be_apart", "in_child", "run_probes"]

_HOMES = {
    "Asked": "probes",
    "ask_probes": "probes",
    "can_be_apart": "probes",
    "in_child": "probes",
    "run_probes": "probes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unbug.checks' has no attribute {name!r}")
    return getattr(importlib.import_module(f"unbug.checks.{_HOMES[name]}"), name)
