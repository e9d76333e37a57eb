"""Secrets that a sentence tells: `the password is VALUE`, `api key -> VALUE`, `password VALUE`.

Most such sentences tell none: `the token is invalid`, `password is required`. So what follows must look like
a secret: no word, no number, no format, no path.
"""

from __future__ import annotations

import re

from unbug.privacy.names import is_secret_name

__all__ = ["without_spoken"]

_SAID = re.compile(
    r"(?P<name>(?<![\w.])(?:[A-Za-z]{1,20}[ _-]){0,2}"
    r"(?:password|passwd|passphrase|passcode|pwd|secret|token|key|apikey|credentials?))"
    r"(?P<gap>\s+(?:is|was|are|=>|->|→|is\s+set\s+to|set\s+to|equals|will\s+be)\s*:?\s*[\"'`]?|\s+[\"'`]?)"
    r"(?P<value>[^\s,;\"'`()\[\]{}<>]{6,200})",
    re.IGNORECASE,
)
_STRONG = frozenset({"password", "passwd", "passphrase", "passcode", "pwd", "secret"})
"""Behind these a short value is enough."""
_BARE = _STRONG - {"secret"}
"""Behind these no verb is needed."""
_PROSE = re.compile(
    r"[A-Za-z]+(?:['’-][A-Za-z]+)*|(?:[A-Za-z]*\d{1,4}[A-Za-z]*)(?:-[a-z]+)+|[a-z]+(?:-\d{1,2})?"
)
_FORMAT = re.compile(
    r"(?:sha|md|base|utf|oauth|argon|bcrypt|scrypt|pbkdf|aes|rsa|fp|bf|int|uint|float|v|python|x|h|level|step|"
    r"epoch|line|column|rank|index|id|number|field|part|item|case|test|user|type|rc|http|ipv|ssl|tls|tlsv)"
    r"[-_.]?\d[\d.]*[a-z]{0,4}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[#~≈]?[+-]?[\d.,:/%-]+(?:e[+-]?\d+)?[a-z/%]{0,8}", re.IGNORECASE)
_ELSEWHERE = re.compile(r"[a-z]+://|[./~\\]|[\w.-]+[/\\]|.*\.[a-z]{1,5}$|.*\(|\$|\[redacted", re.IGNORECASE)
_REDACTED = "[redacted]"


def without_spoken(line: str) -> str:
    """The line without secrets that it tells in a sentence."""
    parts: list[str] = []
    done = at = 0
    while (match := _SAID.search(line, at)) is not None:
        words = match["name"].replace("-", " ").replace("_", " ").split()
        name = _secret_name(words, verb=bool(match["gap"].strip(" \t\"'`")))
        value = match["value"].rstrip(".!?:")
        if name and _looks_secret(value, strong=name in _STRONG):
            parts += [line[done : match.start("value")], _REDACTED]
            done = at = match.start("value") + len(value)
        else:
            at = match.end("name")
    return "".join([*parts, line[done:]])


def _secret_name(words: list[str], *, verb: bool) -> str:
    """The last word of a name that sounds secret; empty if it does not."""
    last = words[-1].lower()
    if not verb:
        return last if last in _BARE else ""
    for many in (3, 2, 1):
        if is_secret_name("_".join(words[-many:])):
            return last
    return ""


def _looks_secret(value: str, *, strong: bool) -> bool:
    if _PROSE.fullmatch(value) or _FORMAT.fullmatch(value) or _NUMBER.fullmatch(value):
        return False
    if _ELSEWHERE.match(value):
        return False
    letters, digits = any(sign.isalpha() for sign in value), any(sign.isdigit() for sign in value)
    special = any(not sign.isalnum() and sign not in "-_.:/*<>=…" for sign in value)
    if not letters or not (digits or special):
        return False
    return strong or len(value) >= 12
