"""Launcher, patches and hooks on a live torch process: one stream of calls. Nothing else patches torch.

Importing this loads no torch; `Hub` and `self_test` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbug.hooks.contract import Frame, Listener, LossCall, Nap

if TYPE_CHECKING:
    from unbug.hooks.cells import cell_name, named_cells
    from unbug.hooks.children import child_environment, when_torch_loads
    from unbug.hooks.frames import user_frame, user_scopes, waits_for_input
    from unbug.hooks.heap import living
    from unbug.hooks.hub import Hub
    from unbug.hooks.interrupts import from_signal
    from unbug.hooks.late import Late
    from unbug.hooks.launcher import run_program
    from unbug.hooks.libraries import library_taps
    from unbug.hooks.logs import FileCall, LogListener, PutCall
    from unbug.hooks.program import Program, ProgramEnd, find_module, find_script
    from unbug.hooks.shims import Check, self_test
    from unbug.hooks.table import Patch
    from unbug.hooks.values import addresses, all_sound, is_tensor, tensor_number

__all__ = [
    "Check",
    "FileCall",
    "Frame",
    "Hub",
    "Late",
    "Listener",
    "LogListener",
    "LossCall",
    "Nap",
    "Patch",
    "Program",
    "ProgramEnd",
    "PutCall",
    "addresses",
    "all_sound",
    "cell_name",
    "child_environment",
    "find_module",
    "find_script",
    "from_signal",
    "is_tensor",
    "library_taps",
    "living",
    "named_cells",
    "run_program",
    "self_test",
    "tensor_number",
    "user_frame",
    "user_scopes",
    "waits_for_input",
    "when_torch_loads",
]

_HOMES = {
    "Check": "shims",
    "FileCall": "logs",
    "Hub": "hub",
    "Late": "late",
    "LogListener": "logs",
    "Patch": "table",
    "Program": "program",
    "ProgramEnd": "program",
    "PutCall": "logs",
    "addresses": "values",
    "all_sound": "values",
    "cell_name": "cells",
    "child_environment": "children",
    "find_module": "program",
    "graph_clock": "shims",
    "find_script": "program",
    "from_signal": "interrupts",
    "is_tensor": "values",
    "library_taps": "libraries",
    "living": "heap",
    "named_cells": "cells",
    "node_time": "shims",
    "run_program": "launcher",
    "self_test": "shims",
    "tensor_number": "values",
    "user_frame": "frames",
    "user_scopes": "frames",
    "waits_for_input": "frames",
    "when_torch_loads": "children",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unbug.hooks' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"unbug.hooks.{_HOMES[name]}"), name)
