"""Text for CSV, which ends up on terminals and in spreadsheets: both act on what they are shown.

Names in a run are what the watched program chose. So control characters and those that turn the direction of
writing are shown as escapes, and text that a spreadsheet would take for a formula gets an apostrophe in
front. Parquet and JSON hold the text as it is.
"""

from __future__ import annotations

import re

__all__ = ["csv_text", "plain_text"]

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def plain_text(text: str) -> str:
    """Text in which control characters, but tab and newline, are written as escapes."""
    return _CONTROL.sub(_escaped, text)


def csv_text(text: str) -> str:
    """As `plain_text`, and no spreadsheet takes it for a formula."""
    return plain_text(f"'{text}" if text.startswith(_FORMULA) else text)
