"""Take secrets out of text: by the name they stand under, by their shape, and by value once one was seen."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unbug.privacy.commands import MENTIONS, password_words
from unbug.privacy.many import text_of_many
from unbug.privacy.names import is_secret_name
from unbug.privacy.shapes import HEADER, HEX_KEY, HINTS, MARKS, PRIVATE_KEY, TOKENS, URL_USER
from unbug.privacy.spoken import without_spoken

__all__ = ["REDACTED", "Redactor"]

REDACTED = "[redacted]"
_NAME = re.compile(
    r"(?P<name>(?<![\w.-])[A-Za-z_][\w.-]*)[\"']?\]?\s{0,20}"
    r"(?::\s{0,4}(?:[\w.]{1,40}\[)?(?:str|bytes|SecretStr|Any)\]?(?:\s?\|\s?None)?\s{0,4}=|=>|[:=]=?)\s{0,20}"
)
_LITERAL = re.compile(r"[bruf]{0,2}(?P<quote>[\"']{1,3})(?P<value>[^\"'\n]*)(?=(?P=quote))")
_BARE = re.compile(r"(?P<value>[^\s,;&\"'(){}\[\]<>]+)")
_OPTION = re.compile(
    r"(?P<option>--?[A-Za-z][\w-]{0,80})(?P<gap>\s+|=|[\"'], ?[\"'])(?P<value>[^\s\"'-][^\s\"']*)"
)
_DEFAULT = re.compile(
    r"(?P<head>[\"'](?P<option>--[A-Za-z][\w-]*)[\"'][^()]{0,400}?\bdefault\s*=\s*)"
    r"(?P<quote>[\"'])(?P<quoted>[^\"'\n]+)(?=(?P=quote))"
)
_WORD = re.compile(r"[^\s,\"'`()]+")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_NETRC = re.compile(r"(\blogin\s+\S+\s+password\s+)\S+")
_CODE = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|none|null|true|false|str|bytes|string|optional", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:e[+-]?[0-9]+)?[a-z/%]{0,3}", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"<[^<>]*>|\*+|\.{3}|\$?\{.*\}|\[redacted\]?", re.IGNORECASE)
_LEARNT = 8
_HARMLESS = frozenset({"true", "false", "none", "null", "default", "auto", "test"})
_SHORT, _MOST_KNOWN = 48, 2048
"""Texts that are kept with what became of them."""


class Redactor:
    """Text in, text without secrets out.

    Args:
        values: Secrets known by value; each is taken out wherever it appears.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._known: dict[str, str] = {}
        self.learn(values)

    @classmethod
    def of_process(cls, argv: Sequence[str], environ: Mapping[str, str]) -> Redactor:
        """Know the values of secret-looking options and environment variables."""
        redactor = cls(value for name, value in environ.items() if _is_secret_variable(name, value))
        redactor.learn(value for _, value in _secret_options(argv))
        redactor.learn(value for _, _, value in password_words(argv))
        return redactor

    def learn(self, values: Iterable[str]) -> None:
        """Take these out from now on, too; also as they look in a URL, in JSON and in Python source."""
        for value in values:
            value = value.strip()
            if len(value) < 4 or value.lower() in _HARMLESS or (value.isdigit() and len(value) < 6):
                continue
            self._values |= {form for form in _forms(value) if len(form) >= 4}
        self._known.clear()
        if self._values:
            longest_first = sorted(self._values, key=lambda value: (-len(value), value))
            self._pattern = re.compile("|".join(map(_value_pattern, longest_first)))

    def text(self, text: str) -> str:
        """Redact any text: console, tracebacks, diffs, host names, paths."""
        if len(text) > _SHORT:
            return self._redact(text, code=False)
        known = self._known.get(text)  # the names of 10,000 parameters have few classes, shapes and keys
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[text] = self._redact(text, code=False)
        return known

    def source(self, text: str) -> str:
        """Redact Python source: literals only, so that `token = read_token()` stays as it is.

        A literal under a secret-looking name is known by value from then on: the program may print it.
        """
        if _has_hint(text):
            self.learn(
                value["value"]
                for line in text.splitlines()
                if _has_hint(line)
                for secret, value in _assignments(line)
                if secret and _is_literal(value) and len(value["value"]) >= _LEARNT
            )
            self.learn(
                match["quoted"]
                for match in _DEFAULT.finditer(text)
                if is_secret_name(match["option"]) and len(match["quoted"]) >= _LEARNT
            )
        return self._redact(text, code=True)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Redact a command line; values of secret-looking options go whatever they look like."""
        hidden = {index: value for index, _, value in password_words(argv)} | dict(_secret_options(argv))
        return [hidden_as(word, hidden[index]) if index in hidden else self.text(word)
                for index, word in enumerate(argv)]  # fmt: skip

    def json(self, value: Any) -> Any:
        """Redact every string in a JSON value; those under a secret-looking key entirely."""
        together = text_of_many(value)  # as of 10,000 parameters' names, which took seconds one by one
        if together and self._redact(together, code=False) == together:
            return value
        return self._json(value)

    def _json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): REDACTED
                if isinstance(item, str) and item and is_secret_name(str(key))
                else self._json(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._json(item) for item in value]
        return value

    def _redact(self, text: str, *, code: bool) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        if "PRIVATE KEY" in text:
            text = PRIVATE_KEY.sub(REDACTED, text)
        if "://" in text:
            text = URL_USER.sub(REDACTED, text)
        if any(mention in text for mention in MENTIONS):
            text = "".join(_without_passwords(line) for line in text.splitlines(keepends=True))
        if any(mark in text for mark in MARKS):
            text = "".join(_without_tokens(line) for line in text.splitlines(keepends=True))
        lowered = text.lower()
        if not any(hint in lowered for hint in HINTS):
            return text
        if "--" in text and "default" in text:
            text = _DEFAULT.sub(_hide_default, text)
        lines = text.splitlines(keepends=True)
        return "".join(self._named(line, code=code) if _has_hint(line) else line for line in lines)

    @classmethod
    def _named(cls, line: str, *, code: bool) -> str:
        """Take out what stands beside a secret-looking name on a line; a line it is on loses its colours."""
        if "\x1b[" in line:
            plain = _COLOUR.sub("", line)
            clean = cls._named(plain, code=code)
            return line if clean == plain else clean
        line = HEX_KEY.sub(lambda match: match["near"] + REDACTED, line)
        line = _without_assigned(line, code=code)
        line = HEADER.sub(rf"\1{REDACTED}", line)
        line = _NETRC.sub(rf"\1{REDACTED}", line)
        if not code:
            line = without_spoken(line)
        return line if code and "'--" not in line and '"--' not in line else _OPTION.sub(_hide_option, line)


def _without_passwords(line: str) -> str:
    """Without what options of a command line on it take as a password."""
    if not any(mention in line for mention in MENTIONS):
        return line
    words = list(_WORD.finditer(line))
    parts: list[str] = []
    done = 0
    for index, start, value in password_words([word[0] for word in words]):
        at = words[index].start() + start
        if at >= done:
            parts += [line[done:at], REDACTED]
            done = at + len(value)
    return "".join([*parts, line[done:]])


def _without_tokens(line: str) -> str:
    return TOKENS.sub(REDACTED, line) if any(mark in line for mark in MARKS) else line


def _has_hint(line: str) -> bool:
    lowered = line.lower()
    return any(hint in lowered for hint in HINTS)


def hidden_as(word: str, secret: str) -> str:
    """`--token=abc` as `--token=[redacted]`, `abc` as `[redacted]`."""
    return word[: len(word) - len(secret)] + REDACTED


def _secret_options(argv: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Index of the word and the value in it, for `--api-key VALUE`, `--api-key=VALUE`, `api_key=VALUE` and
    `hub.api_key VALUE`."""
    for index, word in enumerate(argv):
        name, sign, value = word.partition("=")
        if not is_secret_name(name) or " " in name:
            continue
        if sign and value:
            yield index, value
        elif (
            (word.startswith("-") or _DOTTED.fullmatch(word))
            and index + 1 < len(argv)
            and not argv[index + 1].startswith("--")
        ):
            yield index + 1, argv[index + 1]


def _is_secret_variable(name: str, value: str) -> bool:
    """A secret-looking name, and a value that can be one: no path, no switch."""
    if not is_secret_name(name, variable=True) or len(value) < 6:
        return False
    return not (value.startswith(("/", "~")) and Path(value).expanduser().exists())


def _value_pattern(value: str) -> str:
    """Short values must stand alone, so that a weak password does not wipe out half of the text."""
    pattern = re.escape(value)
    return pattern if len(value) >= 12 else rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"


def _forms(value: str) -> set[str]:
    """A secret as it is, and as it looks in a URL, JSON, Python source, base64 and hexadecimals."""
    data = value.encode(errors="replace")
    forms = {value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
    return forms | {b64encode(data).decode().rstrip("="), data.hex()}


def _assignments(line: str) -> Iterator[tuple[bool, re.Match[str]]]:
    """Whether a name looks secret, and the value behind it; of harmless names only literals.

    A value may hold further ones: `UserWarning: token=…`, `https://…?key=…`.
    """
    done = 0
    for name in _NAME.finditer(line):
        if name.end() < done:
            continue
        secret = is_secret_name(name["name"])
        value = _LITERAL.match(line, name.end()) or (_BARE.match(line, name.end()) if secret else None)
        if value is not None:
            done = value.end() if secret else done
            yield secret, value


def _without_assigned(line: str, *, code: bool) -> str:
    """Without the values of secret-looking names; in source only what is a literal."""
    parts: list[str] = []
    done = 0
    for secret, value in _assignments(line):
        if value.start() < done:
            continue
        found = value["value"]
        if secret:
            clean = REDACTED if _is_literal(value) or (not code and _is_bare(value)) else found
        else:
            clean = _without_assigned(found, code=False) if code else found
        if clean != found:
            parts += [line[done : value.start("value")], clean]
            done = value.end("value")
    return "".join([*parts, line[done:]])


def _is_bare(value: re.Match[str]) -> bool:
    """No number, no code, and nothing that only stands for a value."""
    bare = value["value"]
    if value.re is not _BARE or len(bare) < 4:
        return False
    if _CODE.fullmatch(bare) or _NUMBER.fullmatch(bare) or _PLACEHOLDER.fullmatch(bare):
        return False
    return not (value.string[value.end() : value.end() + 1] in {"(", "["} and bare.isidentifier())


def _is_literal(value: re.Match[str]) -> bool:
    return value.re is _LITERAL and bool(value["value"]) and not _PLACEHOLDER.fullmatch(value["value"])


def _hide_option(match: re.Match[str]) -> str:
    if not is_secret_name(match["option"]) or _PLACEHOLDER.fullmatch(match["value"]):
        return match[0]
    return f"{match['option']}{match['gap']}{REDACTED}"


def _hide_default(match: re.Match[str]) -> str:
    return f"{match['head']}{match['quote']}{REDACTED}" if is_secret_name(match["option"]) else match[0]
