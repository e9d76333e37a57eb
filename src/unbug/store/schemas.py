"""The columns of the documented tables; docs/reference/tables.md says the same in words, and a test compares
them."""

from __future__ import annotations

import pyarrow as pa

from unbug.numerics import NARROW_TYPES
from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS

__all__ = ["SCHEMAS"]

_TIME = pa.timestamp("ns", "UTC")
_NAME = pa.dictionary(pa.int32(), pa.string())
_PHASE = pa.dictionary(pa.int8(), pa.string())
_TEXT, _TEXTS, _SHAPE = pa.string(), pa.list_(pa.string()), pa.list_(pa.int64())

_KEYS = [
    ("training", pa.int32()),
    ("step", pa.int64()),
    ("micro", pa.int32()),
    ("phase", _PHASE),
    ("time", _TIME),
    ("user_step", pa.float64()),
    ("attempt", pa.int16()),
    ("rank", pa.int16()),
]
_EVENT = [
    ("kind", _TEXT),
    ("time", _TIME),
    ("training", pa.int64()),
    ("step", pa.int64()),
    ("micro", pa.int64()),
    ("phase", _TEXT),
    ("rank", pa.int64()),
    ("attempt", pa.int64()),
]

SCHEMAS: dict[str, pa.Schema] = {
    "run": pa.schema(
        [
            ("id", _TEXT),
            ("name", _TEXT),
            ("state", _TEXT),
            ("created", _TIME),
            ("ended", _TIME),
            ("exit_code", pa.int64()),
            ("trainings", pa.int64()),
            ("steps", pa.int64()),
            ("last_loss", pa.float64()),
            ("errors", pa.int64()),
            ("warnings", pa.int64()),
            ("notes", pa.int64()),
            ("host", _TEXT),
            ("pid", pa.int64()),
            ("tags", _TEXTS),
            ("lost", _TEXTS),
            ("message", _TEXT),
            ("unbug_version", _TEXT),
            ("format_version", pa.int64()),
            ("facts", _TEXT),
        ]
    ),
    "attempts": pa.schema(
        [
            ("attempt", pa.int64()),
            ("state", _TEXT),
            ("started", _TIME),
            ("ended", _TIME),
            ("exit_code", pa.int64()),
            ("hosts", _TEXTS),
            ("ranks", _SHAPE),
            ("message", _TEXT),
        ]
    ),
    "trainings": pa.schema(
        [
            ("training", pa.int64()),
            ("steps", pa.int64()),
            ("parameters", pa.int64()),
            ("optimizers", _TEXTS),
            ("ended", pa.bool_()),
            ("facts", _TEXT),
        ]
    ),
    "places": pa.schema(
        [
            ("place", _TEXT),
            ("kind", _TEXT),
            ("training", pa.int64()),
            ("class_name", _TEXT),
            ("shape", _SHAPE),
            ("dtype", _TEXT),
            ("source_file", _TEXT),
            ("source_line", pa.int64()),
            ("parent", _TEXT),
            ("aliases", _TEXTS),
            ("position", pa.int64()),
        ]
    ),
    "series": pa.schema(
        [
            ("series", pa.int32()),
            ("name", _TEXT),
            ("place", _TEXT),
            ("statistic", _TEXT),
            ("unit", _TEXT),
            ("origin", _TEXT),
            ("sampled", _TEXT),
            ("training", pa.int64()),
        ]
    ),
    "scalars": pa.schema(
        [
            ("series", pa.int32()),
            ("name", _NAME),
            ("place", _NAME),
            ("statistic", _NAME),
            ("origin", _NAME),
            *_KEYS,
            ("value", pa.float64()),
        ]
    ),
    "summaries": pa.schema(
        [
            ("quantity", _NAME),
            ("place", _NAME),
            *_KEYS,
            *((name, pa.float64()) for name in (*STORED_STATISTICS, *DERIVED_STATISTICS)),
        ]
    ),
    "histograms": pa.schema(
        [
            ("quantity", _TEXT),
            ("place", _TEXT),
            ("training", pa.int64()),
            ("step", pa.int64()),
            ("exponent", pa.int64()),
            ("counts", _SHAPE),
            ("zeros", pa.int64()),
            ("nonfinite", pa.int64()),
            ("looked_at", pa.int64()),
            *((f"{kind}_{way}", pa.float64()) for kind in NARROW_TYPES for way in ("underflow", "overflow")),
        ]
    ),
    "events": pa.schema([*_EVENT, ("fields", _TEXT)]),
    "loss_calls": pa.schema(
        [
            *_EVENT[1:],
            ("function", _TEXT),
            ("file", _TEXT),
            ("line", pa.int64()),
            ("reduction", _TEXT),
            ("calls", pa.int64()),
            ("input_shape", _SHAPE),
            ("target_shape", _SHAPE),
            ("broadcast", _SHAPE),
            ("input_min", pa.float64()),
            ("input_max", pa.float64()),
            ("input_in_unit_share", pa.float64()),
            ("rows_sum_to_one_share", pa.float64()),
            ("target_min", pa.float64()),
            ("target_max", pa.float64()),
            ("target_dtype", _TEXT),
            ("classes", pa.int64()),
            ("ignored_share", pa.float64()),
            ("ignore_index", pa.int64()),
        ]
    ),
    "hyperparameters": pa.schema(
        [
            *_EVENT[1:],
            ("origin", _TEXT),
            ("name", _TEXT),
            ("key", _TEXT),
            ("value", _TEXT),
            ("number", pa.float64()),
            ("changed", pa.bool_()),
            ("file", _TEXT),
            ("line", pa.int64()),
        ]
    ),
    "checkpoints": pa.schema(
        [
            *_EVENT[1:],
            ("action", _TEXT),
            ("what", _TEXT),
            ("library", _TEXT),
            ("path", _TEXT),
            ("bytes", pa.int64()),
            ("seconds", pa.float64()),
            ("tensors", pa.int64()),
            ("parts", _TEXTS),
            ("healthy", pa.bool_()),
            ("target", _TEXT),
            ("missing", _TEXTS),
            ("unexpected", _TEXTS),
            ("mismatched", _TEXTS),
            ("missing_count", pa.int64()),
            ("unexpected_count", pa.int64()),
            ("mismatched_count", pa.int64()),
            ("error", _TEXT),
        ]
    ),
    "media": pa.schema(
        [
            *_EVENT[1:],
            ("name", _TEXT),
            ("media", _TEXT),
            ("index", pa.int64()),
            ("caption", _TEXT),
            ("user_step", pa.float64()),
            ("file", _TEXT),
            ("size_bytes", pa.int64()),
            ("kept", pa.bool_()),
            ("preview", _TEXT),
            ("facts", _TEXT),
        ]
    ),
    "console": pa.schema(
        [
            ("time", _TIME),
            ("training", pa.int64()),
            ("step", pa.int64()),
            ("rank", pa.int64()),
            ("attempt", pa.int64()),
            ("stream", _TEXT),
            ("text", _TEXT),
        ]
    ),
}
