"""What the program logs, sets and saves by other libraries, taken in under its own origin."""

from __future__ import annotations

from unbug.interop.taken import Interop

__all__ = ["Interop"]
