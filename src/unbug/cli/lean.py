"""Commands that make tables start without pandas: pyarrow imports it wherever it is installed (0.3 s), to
recognise data frames, of which there are none here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["without_pandas"]


class _Refusal:
    """A finder that says of one module that it is not installed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse pandas; of any other module, let the others speak."""
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def without_pandas() -> None:
    """From here on this process has no pandas, unless it is imported already. For commands only."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _Refusal())
