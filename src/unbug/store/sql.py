"""SQL over the tables of a run: read-only, in memory, with nothing outside within reach."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.errors import QueryError
from unbug.store.tabular import Tables

if TYPE_CHECKING:
    import pyarrow as pa

    from unbug.store.reader import RunReader

__all__ = ["is_asking", "query"]

GRACE_S = 1.0
"""How long a query that was told to stop is waited for."""
_THREAD = "unbug-query"
_GOES_ON = (
    "DuckDB does not stop within one call of one function: a thread of this process goes on with it, and "
    "holds its memory until it is done. `unbug sql` ends such a query with its own process."
)

_CONFIGURATION = (
    "SET temp_directory = ''",  # by default `.tmp` in the current folder
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET threads = 2",
    "SET memory_limit = '1GB'",
    "SET lock_configuration = true",
)
_NO_BAR = "SET enable_progress_bar = false"  # it would go to stdout
_ALLOWED = ("SELECT", "EXPLAIN")
_CATALOGUE = re.compile(r"\b(show|information_schema|pg_\w+|duckdb_\w+|sqlite_master)\b", re.IGNORECASE)


def query(
    reader: RunReader,
    sql: str,
    *,
    rows: int = 1_000_000,
    timeout_s: float = 60.0,
    made: Tables | None = None,
    all_attempts: bool = False,
) -> pa.Table:
    """Answer one SELECT (or DESCRIBE, SUMMARIZE, SHOW, EXPLAIN) over the documented tables.

    Args:
        rows: At most this many rows are returned.
        timeout_s: The query is interrupted after this long. The call returns at most a second later, even
            if DuckDB is in the middle of something that it does not interrupt: that then goes on in a thread
            of its own, which does not keep the process alive.
        made: Tables made by an earlier query of the same reader, so that they need not be made again.
        all_attempts: With the rows of steps that a later attempt did again; `made` overrides it.
    Raises:
        QueryError: it is no such statement, cannot be answered, or took too long.
    """
    import duckdb

    made = Tables(reader, all_attempts=all_attempts) if made is None else made
    connection = duckdb.connect(":memory:")
    try:
        _prepare(connection, sql, made)
    except BaseException:
        connection.close()
        raise
    return _answer(connection, sql, rows, timeout_s)


def _prepare(connection: Any, sql: str, made: Tables) -> None:
    """Look at the statement, lay out the tables it names, close everything else."""
    import duckdb

    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(sql, _reason(error)) from None
    if len(statements) != 1:
        raise QueryError(sql, f"it holds {len(statements)} statements; give one")
    kind = statements[0].type.name
    if kind not in _ALLOWED:
        raise QueryError(sql, f"runs are read-only and {kind} is no question; start with SELECT")
    everything = _CATALOGUE.search(sql) is not None
    for name in made:
        if everything or re.search(rf"\b{name}\b", sql, re.IGNORECASE):
            connection.register(name, _in_microseconds(made[name]))
    with suppress(
        duckdb.InvalidInputException
    ):  # in a notebook without ipywidgets, where no bar can be drawn
        connection.execute(_NO_BAR)
    for setting in _CONFIGURATION:
        connection.execute(setting)


def _answer(connection: Any, sql: str, rows: int, timeout_s: float) -> pa.Table:
    """Ask in a thread of its own: DuckDB looks for Ctrl-C too rarely, a waiting main thread sees it.

    It looks for interruptions between pieces of work only, and one function over one value is one piece, so a
    query may not stop when told to. It is then left behind, and ends with the process.
    """
    import duckdb

    answers: list[pa.Table] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        try:
            relation = connection.sql(sql)
            if relation is None:
                failures.append(QueryError(sql, "it returns nothing; start with SELECT"))
            else:
                answers.append(relation.limit(rows).to_arrow_table())
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            failures.append(error)
        finally:
            connection.close()
            done.set()

    threading.Thread(target=ask, name=_THREAD, daemon=True).start()
    until = time.monotonic() + timeout_s
    try:
        while not done.wait(0.1) and time.monotonic() < until:
            pass
        late = not done.is_set()
    finally:  # Ctrl-C too
        until = time.monotonic() + GRACE_S
        while not done.is_set() and time.monotonic() < until:
            connection.interrupt()
            done.wait(0.1)
    if answers:
        return answers[0]
    if late:
        error = QueryError(sql, f"it took longer than {timeout_s:g} s; ask for less")
        if not done.is_set():
            error.add_note(_GOES_ON)
        raise error from None
    failure = failures[0]
    raise failure if isinstance(failure, QueryError) else QueryError(sql, _reason(failure)) from None


def is_asking() -> bool:
    """Whether a query that would not stop when told to still runs in this process."""
    return any(thread.name == _THREAD for thread in threading.enumerate())


def _in_microseconds(table: pa.Table) -> pa.Table:
    """With times DuckDB can compute with: of nanoseconds in a zone it has no `avg`, `-` or `date_trunc`."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            kind = pa.timestamp("us", field.type.tz)
            chunks = [_divided(chunk, kind) for chunk in table.column(at).chunks]
            table = table.set_column(at, field.name, pa.chunked_array(chunks, kind))
    return table


def _divided(chunk: pa.Array, kind: pa.DataType) -> pa.Array:
    """Nanoseconds as microseconds; `cast` would import 0.05 s of pyarrow."""
    import pyarrow as pa

    valid, values = chunk.buffers()
    if chunk.offset or values is None:
        return chunk.cast(kind, safe=False)
    whole = np.frombuffer(values, np.int64, len(chunk)) // 1000
    return pa.Array.from_buffers(kind, len(chunk), [valid, pa.py_buffer(whole)])


def _reason(error: BaseException) -> str:
    """What DuckDB says, without its picture of the query."""
    text = str(error).split("\nLINE ")[0].strip()
    if isinstance(error, MemoryError) or text.startswith("Out of Memory Error"):
        return "it needs more memory than a query may take; ask for less"
    return " ".join(text.split()) or type(error).__name__
