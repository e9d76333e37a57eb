"""What each column of each table means, in a few words, and the type that SQL sees. A test keeps this in step
with `schemas` and docs/reference/tables.md."""

from __future__ import annotations

import pyarrow as pa

from unbug.numerics import NARROW_TYPES
from unbug.store.schemas import SCHEMAS

__all__ = ["column_meaning", "sql_type"]

_KEYS = {
    "training": "number of the training, from 0; -1 where there is none",
    "step": "optimizer steps of that training before this row; -1 before the first",
    "micro": "micro-batch within the step",
    "phase": "train, eval or other",
    "time": "when it was recorded (UTC)",
    "user_step": "the program's own step=, NULL if it gave none",
    "attempt": "which attempt at the run, from 0",
    "rank": "which process of it",
}
_MEANINGS: dict[str, dict[str, str]] = {
    "run": {
        "id": "UUIDv7; never changes",
        "name": "as it was given",
        "state": "running, finished, failed, interrupted, killed or lost",
        "created": "when it began (UTC)",
        "ended": "when it ended; NULL while it runs, or if nobody saw the end",
        "exit_code": "the program's own",
        "trainings": "how many so far",
        "steps": "optimizer steps so far",
        "last_loss": "the last loss of the first training",
        "errors": "open findings that are errors",
        "warnings": "open findings that are warnings",
        "notes": "open findings that are notes",
        "host": "where it runs or ran",
        "pid": "its process",
        "tags": "as they were given",
        "lost": "what could not be kept, in words",
        "message": "why it is killed or lost",
        "unbug_version": "what wrote it",
        "format_version": "of the run folder",
        "facts": "JSON: command, git, packages, hardware, settings",
    },
    "attempts": {
        "attempt": "from 0",
        "state": "how it ended, as in run",
        "started": "when it began (UTC)",
        "ended": "NULL while it runs, or if nobody saw the end",
        "exit_code": "the program's own",
        "hosts": "machines that wrote in it",
        "ranks": "and their ranks",
        "message": "why it is killed or lost",
    },
    "trainings": {
        "training": "its number",
        "steps": "optimizer steps",
        "parameters": "optimised scalars",
        "optimizers": "class names, the primary one first",
        "ended": "no more steps can come",
        "facts": "JSON",
    },
    "places": {
        "place": "dotted path, or data, loss, optimizer, loop, process",
        "kind": "module, parameter, buffer, data, loss, optimizer, loop or process",
        "training": "-1 where it belongs to none",
        "class_name": "of a module",
        "shape": "of a parameter",
        "dtype": "of a parameter",
        "source_file": "of a call site or a module's class",
        "source_line": "line in it",
        "parent": "enclosing module",
        "aliases": "further paths of the same object",
        "position": "in network order, from 0; -1 if unknown",
    },
    "series": {
        "series": "number within this reading of the run",
        "name": "e.g. loss.value",
        "place": "where it was measured",
        "statistic": "empty, or which of several values",
        "unit": "of the values",
        "origin": "auto, user, or the tracker it was taken from",
        "sampled": "how it was sampled; empty for every step",
        "training": "of its place",
    },
    "scalars": {
        "series": "as in series",
        "name": "as in series",
        "place": "as in series",
        "statistic": "as in series",
        "origin": "as in series",
        "value": "may be NaN or infinite",
    },
    "summaries": {
        "quantity": "weight, grad, update, activation or input",
        "place": "parameter or module",
        "count": "elements",
        "mean": "of the finite elements",
        "m2": "sum of squared differences from the mean, of the finite elements",
        "min": "of the finite elements",
        "max": "of the finite elements",
        "zeros": "elements that are zero",
        "nans": "elements that are NaN",
        "infs": "elements that are infinite",
        "saturated": "elements at the limit of their function; NULL where it has none",
        "std": "standard deviation of the finite elements",
        "l2": "2-norm of the finite elements",
        "absmax": "largest absolute value of the finite elements",
        "zero_share": "of all elements",
        "nan_share": "of all elements",
        "inf_share": "of all elements",
        "nonfinite_share": "of all elements",
        "saturated_share": "of all elements",
    },
    "histograms": {
        "quantity": "as in summaries",
        "place": "as in summaries",
        "exponent": "of the first bin: elements with 2**exponent <= abs(x) < 2**(exponent + 1)",
        "counts": "one a bin, consecutive exponents",
        "zeros": "elements without exponent",
        "nonfinite": "elements that are NaN or infinite",
        "looked_at": "elements counted",
        **{
            f"{kind}_{way}": f"share of the elements that {what} in {kind}"
            for kind in NARROW_TYPES
            for way, what in (("underflow", "would become zero"), ("overflow", "would overflow"))
        },
    },
    "events": {"kind": "what happened", "fields": "JSON, as docs/reference/events.md says by kind"},
    "loss_calls": {
        "function": "of torch.nn.functional",
        "file": "that calls it",
        "line": "in that file",
        "reduction": "mean, sum or none",
        "calls": "so far",
        "input_shape": "as it was given",
        "target_shape": "as it was given",
        "broadcast": "the shape both became, if they differed",
        "input_min": "lowest value",
        "input_max": "highest value",
        "input_in_unit_share": "share of calls whose input lies in [0, 1]",
        "rows_sum_to_one_share": "share of calls whose input is normalised",
        "target_min": "lowest value",
        "target_max": "highest value",
        "target_dtype": "as it was given",
        "classes": "width of the input",
        "ignored_share": "of the targets",
        "ignore_index": "as it was given",
    },
    "hyperparameters": {
        "origin": "who was told: argparse, hydra, wandb, …",
        "name": "class that they come from; may be empty",
        "key": "dotted",
        "value": "as text, redacted",
        "number": "where the value is one",
        "changed": "false if it is the default; NULL if the defaults are unknown",
        "file": "where the program asked",
        "line": "in that file",
    },
    "checkpoints": {
        "action": "saved or loaded",
        "what": "file, model or optimizer",
        "library": "who did it",
        "path": "of the file or folder",
        "bytes": "of the file",
        "seconds": "that it took",
        "tensors": "how many",
        "parts": "names of the states in it",
        "healthy": "no NaN and no plus infinity in what was saved",
        "target": "class of the model or optimizer",
        "missing": "keys, at most 100",
        "unexpected": "keys, at most 100",
        "mismatched": "keys and shapes as JSON, at most 100",
        "missing_count": "all of them",
        "unexpected_count": "all of them",
        "mismatched_count": "all of them",
        "error": "what was raised",
    },
    "media": {
        "name": "as it was logged",
        "media": "image, text, audio, table, histogram or figure",
        "index": "place in a batch, from 0",
        "caption": "as it was logged",
        "file": "in the run's folder media/: SHA-256 of the content, and its ending",
        "size_bytes": "of the file",
        "kept": "false once it was thinned out to keep to the disk budget",
        "preview": "the first 200 characters of a text",
        "facts": "JSON: width, height, limits, rows, columns, rate, by kind",
    },
    "console": {"stream": "stdout or stderr", "text": "as it was printed, redacted"},
}


def column_meaning(table: str, column: str) -> str:
    """What a column of a table holds, in a few words; empty if the table has no such column."""
    if table not in SCHEMAS or column not in SCHEMAS[table].names:
        return ""
    return _MEANINGS.get(table, {}).get(column) or _KEYS.get(column, "")


def sql_type(kind: pa.DataType) -> str:
    """The type of a column as DuckDB names it."""
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type)
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE"
    return {
        "string": "VARCHAR", "double": "DOUBLE", "bool": "BOOLEAN", "int64": "BIGINT", "int32": "INTEGER",
        "int16": "SMALLINT", "int8": "TINYINT", "binary": "BLOB",
    }.get(str(kind), str(kind).upper())  # fmt: skip
