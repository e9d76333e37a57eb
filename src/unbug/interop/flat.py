"""Settings of any shape as flat text, number, true, false or nothing by dotted key; runs none of their code.

Only types known to be harmless are looked into. What else is met becomes the name of its class: asking an
object for its text would run the program's code.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, SimpleNamespace
from typing import Any

from unbug.privacy import REDACTED, is_secret_name

__all__ = ["MOST_KEYS", "Flat", "defaults_of", "flat"]

MOST_KEYS = 500
MOST_TEXT, MOST_ITEMS, MOST_DEPTH, MOST_NESTED = 1000, 50, 8, 3
MOST_LOOKED_AT = 20_000
_LEAST_SECRET = 4

Value = str | int | float | bool | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flat:
    """Values by dotted key in the order given, and how many keys there were beyond `MOST_KEYS`."""

    values: Mapping[str, Value]
    left_out: int = 0


def flat(given: Any) -> Flat:
    """The settings in a mapping, a namespace, a dataclass, an OmegaConf node, or a sequence of these."""
    values: dict[str, Value] = {}
    left_out = 0
    for key, value in islice(_walk("", given, 0), MOST_LOOKED_AT):
        if key in values or len(values) < MOST_KEYS:
            values[key] = _hidden(key, value)
        else:
            left_out += 1
    return Flat(values=values, left_out=left_out)


def defaults_of(given: Any) -> Mapping[str, Value] | None:
    """The defaults of a dataclass's fields, flat; None for what has no known defaults.

    Those that a factory would make are left out: calling it runs the program's code.
    """
    if not dataclasses.is_dataclass(given):
        return None
    found = {
        field.name: field.default
        for field in dataclasses.fields(given)
        if field.default is not dataclasses.MISSING
    }
    return flat(found).values


def _walk(key: str, value: Any, depth: int) -> Iterator[tuple[str, Value]]:
    members = _members(value) if depth < MOST_DEPTH else None
    if members is not None and (members or not key):
        for name, member in members:
            yield from _walk(f"{key}.{name}" if key else name, member, depth + 1)
    elif key:
        yield key[:MOST_TEXT], _value(value)


def _members(value: Any) -> list[tuple[str, Any]] | None:
    """What is inside, by name; None if it is a value by itself."""
    if _is_config(value):
        value = _container(value)
    if isinstance(value, dict):
        return [(_name(key), item) for key, item in dict.items(value)]
    if isinstance(value, Mapping) and _is_known(value):
        return [(_name(key), item) for key, item in value.items()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return list(_fields(value))
    if isinstance(value, SimpleNamespace) or _is_namespace(value):
        return list(vars(value).items())
    if isinstance(value, (list, tuple)) and any(_members(item) for item in value[:MOST_ITEMS]):
        return [(str(index), item) for index, item in enumerate(value)]
    return None


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Of a dataclass, those that are plain attributes: a property would run the program's code."""
    there = getattr(value, "__dict__", {})
    for field in dataclasses.fields(value):
        if field.name in there:
            yield field.name, there[field.name]
        elif isinstance(getattr(type(value), field.name, None), MemberDescriptorType):
            yield field.name, getattr(value, field.name, None)


def _is_known(value: Mapping[Any, Any]) -> bool:
    """Mappings whose `items` is harmless, though they are no dict."""
    return type(value).__module__.partition(".")[0] in {"types", "builtins", "collections", "wandb"}


def _is_namespace(value: Any) -> bool:
    argparse = sys.modules.get("argparse")
    return argparse is not None and isinstance(value, argparse.Namespace)


def _is_config(value: Any) -> bool:
    return type(value).__module__.startswith("omegaconf.") and type(value).__name__ in {
        "DictConfig",
        "ListConfig",
    }


def _container(value: Any) -> Any:
    """An OmegaConf node as dicts and lists; interpolations stay text, since resolvers are the program's."""
    try:
        return sys.modules["omegaconf"].OmegaConf.to_container(value, resolve=False)
    except Exception:
        return type(value).__name__


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(key) if isinstance(key, (int, float, bool)) else _class(key)


def _value(value: Any) -> Value:
    kind = type(value)
    if value is None or kind is bool:
        return value  # type: ignore[no-any-return]
    if isinstance(value, enum.Enum):
        return _value(value.value) if type(value.value) in {str, int, float} else value.name
    if isinstance(value, str):
        return _clipped(str.__str__(value))
    if isinstance(value, int):
        return int(value) if abs(int(value)) < 2**63 else str(int(value))
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, PurePath):
        return _clipped(PurePath.__str__(value))
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return _clipped(json.dumps(_plain(value, 0)))
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return f"{value.__module__}.{value.__qualname__}"
    return _of_arrays(value)


def _plain(value: Any, depth: int) -> Any:
    """A list as JSON has it."""
    if isinstance(value, (dict, list, tuple, set, frozenset)) and depth >= MOST_NESTED:
        return "…"
    if isinstance(value, dict):
        return {
            _name(key): _plain(item, depth + 1)
            for key, item in list(dict.items(value))[:MOST_ITEMS]
            if not is_secret_name(_name(key))
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        items: Sequence[Any] = list(value)
        more = [f"… {len(items) - MOST_ITEMS} more"] if len(items) > MOST_ITEMS else []
        return [*(_plain(item, depth + 1) for item in items[:MOST_ITEMS]), *more]
    return _value(value)


def _of_arrays(value: Any) -> Value:
    """numpy's scalars as numbers, torch's dtypes and devices as they are written, all else as its class."""
    kind = type(value)
    home = kind.__module__.partition(".")[0]
    if home == "numpy" and getattr(value, "ndim", None) == 0:
        return _value(value.item())
    if home == "torch" and kind.__name__ in {"dtype", "device"}:
        return str(value)
    return _class(value)


def _class(value: Any) -> str:
    return f"<{type(value).__qualname__}>"


def _clipped(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _hidden(key: str, value: Value) -> Value:
    """Numbers under a secret-looking name; texts are redacted where all texts are, when they are written."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and len(str(value)) >= _LEAST_SECRET and is_secret_name(key.rpartition(".")[2]):
        return REDACTED
    return value
