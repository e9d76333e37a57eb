"""Runs as a notebook shows them. Text stays the fallback of every front end."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.session.rules import rule_settings
from unbug.settings import resolve
from unbug.types import Finding, RunState

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.session.recording import Recording
    from unbug.store import RunReader

__all__ = ["Findings", "card", "card_of", "show_at_end"]

PATIENCE_S = 3.0
"""A picture of a run waits so long for its findings; then it shows the counts that were stated last."""


class Findings(tuple[Finding, ...]):
    """Findings, first the one to fix first; a notebook shows them with their evidence."""

    reader: RunReader | None = None

    def _repr_html_(self) -> str:
        from unbug.report import findings_fragment

        return findings_fragment(self, self.reader)


def card(reader: RunReader) -> str:
    """A run at a glance, as HTML."""
    from unbug.detect import diagnose
    from unbug.errors import StoppedError
    from unbug.report import run_fragment

    until = time.monotonic() + PATIENCE_S
    diagnosis: Diagnosis | None = None
    with suppress(StoppedError):
        diagnosis = diagnose(
            reader,
            live=reader.status.state is RunState.RUNNING,
            settings=rule_settings(resolve()),
            proceed=lambda: time.monotonic() < until,
        )
    return run_fragment(reader, diagnosis)


def card_of(path: Path) -> str:
    """A run at a glance, as HTML, from its folder."""
    from unbug.store import open_reader

    reader = open_reader(path)
    try:
        return card(reader)
    finally:
        reader.close()


def show_at_end(recording: Recording, diagnosis: Diagnosis, text: str) -> bool:
    """Show what was found in the notebook that the program runs in; false where it runs in none.

    Args:
        text: What a front end shows that cannot show HTML.
    """
    if not in_notebook():
        return False
    from unbug.report import run_fragment
    from unbug.store import open_reader

    reader = open_reader(recording.path)
    try:
        html = run_fragment(reader, diagnosis)
    finally:
        reader.close()
    display: Any = sys.modules["IPython"].display.display
    display({"text/html": html, "text/plain": text}, raw=True)
    return True


def in_notebook() -> bool:
    """Whether what is displayed goes to a front end that may show HTML."""
    with suppress(Exception):
        return hasattr(sys.modules["IPython"].get_ipython(), "kernel")
    return False
