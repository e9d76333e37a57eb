"""`%load_ext unbug`: record what the cells of a notebook train. The only room that knows IPython."""

from __future__ import annotations

from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Add `%unbug` and `%%unbug` to a shell. IPython calls it; again does nothing."""
    from unbug.notebook.extension import Extension

    Extension.of(shell).install()


def unload_ipython_extension(shell: Any) -> None:
    """Take them away again, and end a run that is open. IPython calls it."""
    from unbug.notebook.extension import Extension

    Extension.of(shell).remove()
