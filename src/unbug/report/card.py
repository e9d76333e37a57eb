"""The box that every piece of HTML for a notebook stands in, with its own style."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ["card"]


def card(*parts: object) -> str:
    """The parts in one box, in the colours of the notebook."""
    return f'<div class="unbug-card"><style>{_style()}</style>{"".join(map(str, parts))}</div>'


@cache
def _style() -> str:
    return resources.files("unbug.report").joinpath("fragment.css").read_text(encoding="utf-8")
