"""Comparing rendered output with files in tests/golden/. `UNBUG_GOLDEN=write pytest …` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def compare(name: str, text: str) -> None:
    """Fail unless the file has exactly this text."""
    file = FOLDER / name
    if os.environ.get("UNBUG_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert file.exists(), f"{file} is missing; write it with UNBUG_GOLDEN=write and review it"
    assert text == file.read_text(encoding="utf-8"), f"rendered output differs from {name}"
