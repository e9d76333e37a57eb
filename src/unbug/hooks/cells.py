"""Notebook cells by the number that their reader sees: `cell 5`, not the file that they compile as."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

__all__ = ["cell_name", "in_shell", "named_cells"]

_texts: dict[str, str] = {}


def cell_name(file: str) -> str | None:
    """What a code object's file is called, where it is a cell of IPython or of a notebook; None elsewhere."""
    shell = _shell()
    if shell is None:
        return None
    with suppress(Exception):  # another front end than IPython's, with a compiler of its own
        numbers: dict[str, int] = shell.compile._filename_map
        if file in numbers:
            number = numbers[file]
            name = f"cell {number}"
            if name not in _texts:
                typed = shell.history_manager.input_hist_raw
                _texts[name] = typed[number] if 0 < number < len(typed) else ""
            return name
    return None


def named_cells() -> Mapping[str, str]:
    """Text, as it was typed, of each cell that was named so far."""
    return _texts


def in_shell() -> bool:
    """Whether IPython runs the program, line by line or cell by cell."""
    return _shell() is not None


def _shell() -> Any:
    interactive = sys.modules.get("IPython")
    with suppress(Exception):
        return None if interactive is None else interactive.get_ipython()
    return None
