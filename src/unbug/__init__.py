"""The model debugger. `unbug.run` records, `unbug.open` reads; see the README for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.session import open_run as open
    from unbug.session import run

__version__ = "0.1.0.dev0"
__all__ = ["__version__", "open", "run"]


def __getattr__(name: str) -> Any:
    # Nothing heavy at import: numpy, torch and the readers are loaded by the verb that needs them.
    if name in ("run", "open"):
        from unbug import session

        return session.run if name == "run" else session.open_run
    if name in ("load_ipython_extension", "unload_ipython_extension"):  # of `%load_ext unbug`
        from unbug import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'unbug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
