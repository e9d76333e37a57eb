"""The model debugger. `unbug.run` records, `unbug.open` reads; see the README for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.session import Audio, Figure, Histogram, Image, Table, Text, run
    from unbug.session import open_run as open

__version__ = "0.1.0.dev0"
__all__ = ["Audio", "Figure", "Histogram", "Image", "Table", "Text", "__version__", "open", "run"]


def __getattr__(name: str) -> Any:
    # Nothing heavy at import: numpy, torch and the readers are loaded by the verb that needs them.
    if name in __all__:
        from unbug import session

        return session.open_run if name == "open" else getattr(session, name)
    if name in ("load_ipython_extension", "unload_ipython_extension"):  # of `%load_ext unbug`
        from unbug import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'unbug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
