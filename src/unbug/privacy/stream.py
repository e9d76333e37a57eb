"""Redact text that arrives in pieces: a secret may be cut between two of them."""

from __future__ import annotations

from unbug.privacy.redactor import REDACTED, Redactor
from unbug.privacy.shapes import PRIVATE_KEY_BEGIN, PRIVATE_KEY_END

__all__ = ["LineRedactor"]

_LONGEST_LINE = 65_536


class LineRedactor:
    """Gives out whole lines; of a progress bar, which redraws its line with `\\r`, the last picture."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._in_key = False

    def feed(self, text: str) -> str:
        """Take in a piece; returns what is complete."""
        whole, newline, self._held = (self._held + text).rpartition("\n")
        if len(self._held) > _LONGEST_LINE:  # a line without end: cut where no word is
            cut = self._held.rfind(" ", 0, _LONGEST_LINE) + 1 or _LONGEST_LINE
            head, self._held = self._held[:cut], self._held[cut:]
            return self._lines(whole + newline + head)
        if "\r" in self._held:
            self._held = _last_picture(self._held, ended=False)
        return self._lines(whole + newline) if newline else ""

    def finish(self) -> str:
        """The unfinished line at the end."""
        rest, self._held = self._held, ""
        return self._lines(rest)

    def _lines(self, text: str) -> str:
        if "PRIVATE KEY" in text or self._in_key:
            text = self._without_keys(text)
        if "\r" in text:
            text = "\n".join(_last_picture(line, ended=True) for line in text.split("\n"))
        return self._redactor.text(text)

    def _without_keys(self, text: str) -> str:
        """A private key spans lines, so it may span pieces."""
        kept = []
        for line in text.splitlines(keepends=True):
            if not self._in_key and (begin := PRIVATE_KEY_BEGIN.search(line)):
                kept.append(line[: begin.start()] + REDACTED)
                self._in_key, line = True, line[begin.end() :]
            if not self._in_key:
                kept.append(line)
            elif end := PRIVATE_KEY_END.search(line):
                kept.append(line[end.end() :])
                self._in_key = False
        return "".join(kept)


def _last_picture(line: str, *, ended: bool) -> str:
    """What a terminal would show of a line in which `\\r` goes back to its start."""
    pictures = line.split("\r")
    if not ended:  # what follows the last `\r` may just be starting to be drawn
        return "\r".join(pictures[-2:])
    return next((picture for picture in reversed(pictures) if picture.strip()), "")
