"""Passwords on command lines, where an option's letter says what it is: `mysql -pVALUE`, `sshpass -p VALUE`,
`curl -u NAME:VALUE`, and `-p VALUE` of any program that is also given a user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

__all__ = ["MENTIONS", "password_words", "spoken_like_a_password"]

_TAKERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlshow", "mysqlcheck", "mysqlsh", "mariadb",
         "mariadb-dump", "mariadb-admin", "sshpass", "7z", "7za", "mongo", "mongosh", "mongodump"),
        ("-p",),
    ),
    "redis-cli": ("-a",),
    **dict.fromkeys(("zip", "unzip"), ("-P",)),
    **dict.fromkeys(("ldapsearch", "ldapadd", "ldapmodify", "ldapwhoami"), ("-w",)),
    **dict.fromkeys(("curl", "wget", "http", "https"), ("-u", "--user", "-a")),
}  # fmt: skip
"""Options that take a password, by program."""
_LOGIN = frozenset(
    {"docker", "podman", "oc", "az", "helm", "skopeo", "buildah", "nerdctl", "crane", "regctl"}
)
"""Programs whose `login` takes one with `-p`."""
_USER = frozenset({"-u", "-U", "--user", "--username", "--login", "--email"})
_PAIR = frozenset({"curl", "wget", "http", "https"})
"""Their options take `NAME:PASSWORD`."""
_PLAIN = re.compile(r"[\d.:,/+-]*|[\w./~-]*[/\\][\w./~-]*|-{1,2}[A-Za-z][\w-]*|[<$({].*|\[redacted.*")
"""Numbers, ports, paths, further options, and what only stands for a value."""
MENTIONS = (" -p", " -u", " -a ", " -P", " -w", "--user", "--password")
"""A text without any of these holds no such command line."""


def password_words(words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Index of each word of a command line that holds a password, where it begins in it, and the password."""
    taker, has_user = "", False
    options: tuple[str, ...] = ()
    for index, word in enumerate(words):
        bare = PurePath(word.strip("\"'`$(")).name
        if bare in _TAKERS or (bare in _LOGIN and "login" in words[index + 1 : index + 3]):
            taker, options = bare, _TAKERS.get(bare, ("-p", "--password"))
            continue
        if word in ("|", ";", "&&", "||"):
            taker, options, has_user = "", (), False
            continue
        has_user = has_user or word in _USER or word.partition("=")[0] in _USER
        following = words[index + 1] if index + 1 < len(words) else ""
        for option in options:
            if word == option and following:
                yield from _of(index + 1, 0, following, taker)
            elif word.startswith(option) and len(word) > len(option) + 2 and not option.startswith("--"):
                yield from _of(index, len(option), word[len(option) :], taker)
        certain = has_user and not _PLAIN.fullmatch(following)
        if word == "-p" and not options and following and (certain or spoken_like_a_password(following)):
            yield index + 1, 0, following


def _of(index: int, start: int, value: str, taker: str) -> Iterator[tuple[int, int, str]]:
    if taker in _PAIR:
        name, sign, value = value.partition(":")
        start += len(name) + len(sign)
    clean = value.strip("\"'")
    if clean and not _PLAIN.fullmatch(clean):
        yield index, start + value.index(clean), clean


def spoken_like_a_password(value: str) -> bool:
    """Whether a value under a mere `-p` can be nothing else: eight signs or more, letters, a digit and one of
    those that names and numbers do not have."""
    if len(value) < 8 or _PLAIN.fullmatch(value) or any(sign in value for sign in "/\\=,[]{}"):
        return False
    kinds = (str.isalpha, str.isdigit, "!@#$%^&?~|".__contains__)
    return all(any(kind(sign) for sign in value) for kind in kinds)
