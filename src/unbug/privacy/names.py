"""Which names (options, variables, fields) hold secrets, and which only sound so."""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["is_secret_name", "words_of"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALWAYS = _words("""
    password passwd passphrase passcode secret secrets apikey credential credentials authorization
    cookie cookies dsn netrc htpasswd apitoken authtoken accesstoken secretkey accesskey privatekey
    pgpassword sshpass
    """)
_LAST = _words("""
    pat jwt bearer pwd auth creds cred sig signature
    """)
_BEFORE_KEY = _words("""
    api access secret private auth account encryption signing master license ssh deploy service
    wandb openai anthropic hf aws azure gcp google comet neptune mlflow app client subscription
    shared storage project
    """)
_NO_TOKEN = _words("""
    pad eos bos unk mask cls sep sos end start stop next first last special per image audio video
    extra decoder encoder forced blank prefix oov new num max min added current previous this each
    class boi eoi target word sub padding separator vocab text predicted sampled input output
    """)
_DESCRIBES = _words("""
    file files path dir length len field prompt column policy store manager sock required enabled
    type count size ratio loss dim acc accuracy
    """)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


def words_of(name: str) -> list[str]:
    """`--apiKey_id` as `["api", "key", "id"]`."""
    return [word.lower() for word in _CAMEL.split(name) if word]


def is_secret_name(name: str, *, variable: bool = False) -> bool:
    """Whether a value under this name is to be kept out of the run.

    Args:
        name: Of an option (`--api-key`), a field (`apiKey`) or an environment variable (`HF_TOKEN`).
        variable: It is an environment variable, where any `..._KEY` counts.
    """
    words = words_of(name)
    if not words or words[-1] in _DESCRIBES:
        return False
    if any(word in _ALWAYS for word in words):
        return True
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in _LAST:
        return last != "pwd" or bool(before)
    if last == "token":
        return before not in _NO_TOKEN
    if last == "key" and (before in _BEFORE_KEY or (variable and bool(before))):
        return True
    return any(pair in {("access", "key"), ("private", "key")} for pair in pairwise(words))
