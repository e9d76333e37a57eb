"""Show a text again whenever it changes, until Ctrl-C."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

__all__ = ["watch"]

_ENTER, _LEAVE, _HOME = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H"
"""The terminal's second screen with the cursor hidden, and back: what was on it before stays."""


def watch(make: Callable[[], str], *, every_s: float) -> None:
    """On a terminal draw over what was there; elsewhere print the text each time that it differs."""
    if not sys.stdout.isatty():
        _print_changes(make, every_s)
        return
    last = ""
    try:
        sys.stdout.write(_ENTER)
        while True:
            last = make() or "no runs yet"
            height = shutil.get_terminal_size((100, 24)).lines
            lines = last.split("\n")
            if len(lines) > height - 1:
                lines = [*lines[: height - 2], f"… and {len(lines) - height + 2} more"]
            # Line by line over the old picture: clearing it first would flicker.
            drawn = "".join(f"{line}\x1b[K\n" for line in lines)
            sys.stdout.write(f"{_HOME}{drawn}\x1b[J")
            sys.stdout.flush()
            time.sleep(every_s)
    except KeyboardInterrupt:
        pass
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
    print(last)


def _print_changes(make: Callable[[], str], every_s: float) -> None:
    last: str | None = None
    try:
        while True:
            text = make()
            if text != last:
                last = text
                print(text, flush=True)
            time.sleep(every_s)
    except KeyboardInterrupt:
        return
