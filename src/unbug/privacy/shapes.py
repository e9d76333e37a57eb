"""What tokens look like. Each has a prefix or a neighbour of its own, so false alarms are rare."""

from __future__ import annotations

import re

__all__ = [
    "HEADER",
    "HEX_KEY",
    "HINTS",
    "MARKS",
    "PRIVATE_KEY",
    "PRIVATE_KEY_BEGIN",
    "PRIVATE_KEY_END",
    "TOKENS",
    "URL_USER",
]

_MIXED = r"(?=[A-Za-z_-]*[0-9])"
TOKENS = re.compile(
    "|".join(
        (
            rf"\bsk-{_MIXED}[A-Za-z0-9_-]{{16,}}",  # OpenAI, Anthropic and others
            r"\bgh[pousr]_[A-Za-z0-9]{20,}",
            r"\bgithub_pat_[A-Za-z0-9_]{20,}",
            r"\bgl(?:pat|cbt|ptt|dt|rt)-[A-Za-z0-9_-]{16,}",
            r"\b(?:hf|npm|r8)_[A-Za-z0-9]{20,}",
            r"\bapi_org_[A-Za-z0-9]{20,}",
            r"\bdckr_pat_[A-Za-z0-9_-]{16,}",
            r"\bwandb_v[0-9]_[A-Za-z0-9_]{20,}",
            r"\b(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{16}\b",
            r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
            r"\bxapp-[0-9]-[A-Za-z0-9-]{10,}",
            r"https://hooks\.slack\.com/services/[A-Za-z0-9/]+",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",  # JSON web tokens
            r"\bAIza[0-9A-Za-z_-]{30,}",
            r"\bya29\.[0-9A-Za-z_-]{16,}",
            r"\bGOCSPX-[0-9A-Za-z_-]{16,}",
            r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}",
            r"\bpypi-Ag[A-Za-z0-9_-]{30,}",
            r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
            r"\bdapi[0-9a-f]{32}\b",
            r"\bdo[por]_v1_[0-9a-f]{40,}",
            r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}",
            r"(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/-]{12,}=*",
        )
    )
)
URL_USER = re.compile(r"(?<=://)(?!git@)[^\s/?#\"'<>@]+(?:@[^\s/?#\"'<>@]+)*(?=@[\w\[])")
PRIVATE_KEY_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
PRIVATE_KEY_END = re.compile(r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
PRIVATE_KEY = re.compile(
    PRIVATE_KEY_BEGIN.pattern + r".*?(?:" + PRIVATE_KEY_END.pattern + r"|\Z)",
    re.DOTALL,
)
HEX_KEY = re.compile(
    r"(?i)(?P<near>(?:wandb|api|key|token|secret|auth)(?:(?!commit|sha|rev|hash)[^\n]){0,40}?)"
    r"\b(?P<secret>[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{32})\b"
)
"""Forty hexadecimal digits are a W&B key beside such a word, and a commit elsewhere."""
HEADER = re.compile(r"(?i)((?<![\w-])(?:set-)?cookie:\s*)(?!\[redacted\]\s*$)[^\s\"'][^\n\"']*")
"""The pairs of a cookie are secrets whatever their names."""
HINTS = (
    "pass", "secret", "token", "key", "auth", "cred", "cookie", "dsn", "jwt", "bearer", "pat",
    "pwd", "sig", "wandb", "login",
)  # fmt: skip
"""A line without any of these holds no assignment to a secret name."""
MARKS = (
    "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glcbt-", "glptt-",
    "gldt-", "glrt-", "hf_", "npm_", "r8_", "api_org_", "dckr_pat_", "wandb_v", "AKIA", "ASIA",
    "AIDA", "AROA", "xox", "xapp-", "hooks.slack.com", "eyJ", "AIza", "ya29.", "GOCSPX-", "k_live_",
    "k_test_", "pypi-Ag", "SG.", "dapi", "_v1_", ":AA", "earer ", "asic ", "EARER ", "ASIC ",
)  # fmt: skip
"""A text without any of these holds none of `TOKENS`: looking for words is much faster than for shapes."""
