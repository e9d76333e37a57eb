"""The order of a step as a word: which calls the loop makes, and in what order.

Letters: `Z` zero_grad, `F` a root forward with grad mode on, `B` backward, `C` clipping, `S` step of the
primary optimizer, `L` scheduler step; `z` and `s` are those of the other optimizers. What a step calls itself
stands in brackets: `S[ZFB]` is a closure. A group that repeats is written once: `Z(FB)+S`.
"""

from __future__ import annotations

import re

__all__ = ["Letters", "Words", "compress"]

_LONGEST = 256
_MOST_WORDS = 64
_LETTERS = re.compile(r"([A-Za-z])\1+")
_GROUPS = re.compile(r"([A-Za-z]{2,8}?)\1+")


def compress(word: str) -> str:
    """Write a repeated group once, in brackets with a plus; a repeated letter just once."""
    return _GROUPS.sub(r"(\1)+", _LETTERS.sub(r"\1", word))


class Words:
    """The words of one training, with how often each came."""

    __slots__ = ("_raw", "counts", "first_seen", "left_out")

    def __init__(self) -> None:
        self._raw: dict[str, str] = {}
        self.left_out = 0
        self.counts: dict[str, int] = {}
        self.first_seen: dict[str, int] = {}

    def take(self, raw: str, step: int) -> str | None:
        """Count the word of `step`; returns it, compressed, if it was not seen before."""
        word = self._raw.get(raw)
        if word is None:
            word = compress(raw)
            if len(self._raw) < 4 * _MOST_WORDS:
                self._raw[raw] = word
        count = self.counts.get(word)
        if count is not None:
            self.counts[word] = count + 1
            return None
        if len(self.counts) >= _MOST_WORDS:
            self.left_out += 1
            return None
        self.counts[word] = 1
        self.first_seen[word] = step
        return word


class Letters:
    """Collects the calls of the step in progress.

    A step's word ends at the first zero_grad, forward or backward after the primary optimizer's step, so that
    a scheduler called behind it belongs to it. A `partial` word is one that not all calls were told of.
    """

    __slots__ = ("_depth", "_letters", "complete", "next_partial", "partial")

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._depth = 0
        self.complete = False
        self.partial = False
        self.next_partial = False

    def add(self, letter: str) -> None:
        """One more call within the step."""
        if self._depth == 1:
            self._depth = 2
            self._letters.append("[")
        if len(self._letters) < _LONGEST:
            self._letters.append(letter)

    def step_begins(self, letter: str) -> None:
        """An optimizer's step begins: what comes until it ends stands in brackets."""
        self.add(letter)
        self._depth = 1

    def step_ends(self) -> None:
        """It ended."""
        if self._depth == 2:
            self._letters.append("]")
        self._depth = 0

    def take(self) -> str:
        """The word so far; a new one begins."""
        raw = "".join(self._letters)
        self._letters.clear()
        self.complete = False
        self.partial = self.next_partial
        return raw

    def wake(self) -> None:
        """A whole step comes."""
        self._letters.clear()
        self._depth = 0
        self.complete = self.partial = self.next_partial = False
