"""A text in two languages."""

from __future__ import annotations

__all__ = ["Bilingual", "chinese"]


class Bilingual(str):
    """English text that carries its Chinese: a string like any other wherever nobody asks for that.

    Both are made from the same measured numbers: `Bilingual(f"{n} layers", f"{n} 层")`. Joining two texts
    joins both languages; any other operation on it gives a plain English string.
    """

    zh: str

    def __new__(cls, en: str = "", zh: str = "") -> Bilingual:
        made = super().__new__(cls, en)
        made.zh = zh or chinese(en)
        return made

    def __add__(self, other: str) -> Bilingual:
        return Bilingual(str(self) + str(other), self.zh + chinese(other))

    def __radd__(self, other: str) -> Bilingual:
        return Bilingual(str(other) + str(self), chinese(other) + self.zh)

    def __reduce__(self) -> tuple[type[Bilingual], tuple[str, str]]:
        return Bilingual, (str(self), self.zh)


def chinese(text: str) -> str:
    """The Chinese of a text, or the text itself if it has none."""
    return text.zh if isinstance(text, Bilingual) else str(text)
