"""Every setting there is: its default, what it may be, and how its text is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["KNOWN", "Known", "parse_share", "parse_size"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


def parse_share(given: object) -> float:
    """Read `"2%"`, `"0.02"` or `0.02` as a fraction in (0, 1).

    Raises:
        ValueError: it is none, or not between 0 and 1.
    """
    if isinstance(given, str):
        text = given.strip()
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        share = float(given)
    else:
        raise ValueError(given)
    if not 0 < share < 1:
        raise ValueError(given)
    return share


def parse_size(given: object) -> int:
    """Read `"200 MB"`, `"1GiB"` or a number of bytes.

    Raises:
        ValueError: it is no size, or not positive.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        size = given
    else:
        match = re.fullmatch(
            r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", given if isinstance(given, str) else ""
        )
        if match is None or match[2].lower() not in _UNITS:
            raise ValueError(given)
        size = int(float(match[1]) * _UNITS[match[2].lower()])
    if size <= 0:
        raise ValueError(given)
    return size


def _flag(given: object) -> bool:
    if isinstance(given, bool):
        return given
    text = str(given).strip().lower()
    if text not in _YES | _NO:
        raise ValueError(given)
    return text in _YES


def _count(given: object) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or int(str(given)) < 1:
        raise ValueError(given)
    return int(str(given))


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not 0 <= float(str(given)) < 1e9:
        raise ValueError(given)
    return float(str(given))


def _text(given: object) -> str | None:
    if given is not None and not isinstance(given, str):
        raise ValueError(given)
    return given or None


def _words(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return tuple(word for word in (part.strip() for part in given.split(",")) if word)
    if isinstance(given, list | tuple) and all(isinstance(word, str) for word in given):
        return tuple(given)
    raise ValueError(given)


def _one_of(*allowed: str | None) -> Callable[[object], str | None]:
    def read(given: object) -> str | None:
        if given not in allowed:
            raise ValueError(given)
        return given if isinstance(given, str) else None

    return read


def _language(given: object) -> str | None:
    if given is None or given == "":
        return None
    name = (
        given.replace("-", "_").partition(".")[0].partition("_")[0].lower() if isinstance(given, str) else ""
    )
    if name not in ("en", "zh"):
        raise ValueError(given)
    return name


def _table(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(given)
    return dict(given)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A setting that exists.

    Args:
        read: Turns what was given into the value; raises ValueError or TypeError on what it cannot take.
        allowed: In words, for the error message and the reference.
        variable: Environment variable, or empty where there is none.
        help: What it does, for the reference.
    """

    name: str
    default: Any
    read: Callable[[object], Any]
    allowed: str
    help: str
    variable: str = ""


_KEEP = '"keep", "hash" or "off"'


def _privacy(what: str, default: str, text: str) -> Known:
    return Known(
        name=f"privacy.{what}",
        default=default,
        read=_one_of("keep", "hash", "off"),
        allowed=_KEEP,
        variable=f"UNBUG_PRIVACY_{what.upper()}",
        help=text,
    )


_ALL = (
    Known(name="enabled", default=True, read=_flag, allowed="0 or 1", variable="UNBUG",
          help="0 switches all of unbug off: the program runs bare."),
    Known(name="dir", default=None, read=_text, allowed="a folder", variable="UNBUG_DIR",
          help="Folder of the runs; by default the nearest `unbug-runs/` upwards, else `./unbug-runs/`."),
    Known(name="name", default=None, read=_text, allowed="text", variable="UNBUG_NAME",
          help="Name of the run; by default the script's, or its folder's where that says more (`main.py`)."),
    Known(name="tags", default=(), read=_words, allowed="words, parted by commas", variable="UNBUG_TAGS",
          help="Tags of the run."),
    Known(name="budget", default=0.02, read=parse_share,
          allowed="a share such as 2% or 0.02, above 0 and below 1",
          variable="UNBUG_BUDGET", help="Share of the training's wall time that recording may cost."),
    Known(name="every", default=None, read=_count, allowed="a whole number of steps, 1 or more",
          variable="UNBUG_EVERY", help="Record details on every N-th step instead of by budget."),
    Known(name="disk", default=200_000_000, read=parse_size, allowed="a size such as 200MB or 1GiB",
          variable="UNBUG_DISK", help="Size above which old detail is thinned; scalars never are."),
    Known(name="quiet", default=False, read=_flag, allowed="0 or 1", variable="UNBUG_QUIET",
          help="1 prints nothing, neither findings nor failures of unbug itself."),
    Known(name="fail_on", default=None, read=_one_of("error", "warning", None),
          allowed='"error" or "warning"',
          variable="UNBUG_FAIL_ON", help="End with code 3 if a finding of at least this severity stands."),
    Known(name="stop_on", default=None, read=_one_of("error", "warning", None),
          allowed='"error" or "warning"',
          variable="UNBUG_STOP_ON", help="Interrupt the program, as Ctrl-C would, as soon as a finding of at "
               "least this severity stands, and end with code 3."),
    Known(name="lang", default=None, read=_language, allowed="one of en, zh", variable="UNBUG_LANG",
          help="Language of the findings; by default Chinese where the locale is Chinese, else English."),
    Known(name="resume", default=None, read=_text, allowed="a run, or auto", variable="UNBUG_RESUME",
          help="Go on with this run as its next attempt; `auto`: with the newest unfinished one of the same "
               "program, arguments and folder, or of the same job."),
    Known(name="notify", default=None, read=_text, allowed="a command", variable="UNBUG_NOTIFY",
          help="Command of the shell, run once, on the first error finding: that is on its stdin as JSON and "
               "in `UNBUG_FINDING_…`."),
    Known(name="hang_s", default=120.0, read=_seconds, allowed="seconds, 0 or more", variable="UNBUG_HANG_S",
          help="Without a step for so long, and for 20 times the median step, the stacks of all threads are "
               "kept; 0 switches that off."),
    Known(name="probes", default=True, read=_flag, allowed="0 or 1", variable="UNBUG_PROBES",
          help="0 leaves out the experiments on copies of the model when the program has ended; in notebooks "
               "they are made only where this is set to 1."),
    Known(name="strict", default=False, read=_flag, allowed="0 or 1", variable="UNBUG_STRICT",
          help="1 lets a failure of unbug itself stop the program; for those who work on unbug."),
    _privacy("source", "keep", "Source of the program's own modules."),
    _privacy("diff", "keep", "What was changed and not committed."),
    _privacy("console", "keep", "What the program printed."),
    _privacy("batches", "keep", "Ranges, label histograms, feature statistics, fingerprints of batches; "
             "with `hash` only fingerprints, under a key that is not kept."),
    Known(name="privacy.media", default="keep", read=_one_of("keep", "off"), allowed='"keep" or "off"',
          variable="UNBUG_PRIVACY_MEDIA", help="Images, texts, sounds, tables, figures given to `run.log`."),
    Known(name="privacy.environment", default=(), read=_words,
          allowed="names of variables, `*` at the end allowed",
          help="Environment variables that may be kept, besides the built-in list."),
    Known(name="rules", default={}, read=_table, allowed="a table of rules",
          help="Thresholds by rule code, e.g. `[tool.unbug.rules.T101]`."),
    Known(name="suppress", default={}, read=_table, allowed="a table of rules, each with a reason",
          help="Findings that are accepted: by rule code, name or fingerprint, the reason, or a table with "
               "`reason`, `until` (a day) and `place` (a pattern)."),
)  # fmt: skip

KNOWN: dict[str, Known] = {known.name: known for known in _ALL}
