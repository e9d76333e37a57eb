"""SQL over the tables of a run: read-only, in memory, with nothing outside within reach."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

from unbug.errors import QueryError
from unbug.store.tabular import Tables

if TYPE_CHECKING:
    import pyarrow as pa

    from unbug.store.reader import RunReader

__all__ = ["query"]

_CONFIGURATION = (
    "SET temp_directory = ''",  # by default `.tmp` in the current folder
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_progress_bar = false",  # it would go to stdout
    "SET threads = 2",
    "SET memory_limit = '1GB'",
    "SET lock_configuration = true",
)
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
        timeout_s: The query is interrupted after this long.
        made: Tables made by an earlier query of the same reader, so that they need not be made again.
        all_attempts: With the rows of steps that a later attempt did again; `made` overrides it.
    Raises:
        QueryError: it is no such statement, cannot be answered, or took too long.
    """
    import duckdb

    made = Tables(reader, all_attempts=all_attempts) if made is None else made
    connection = duckdb.connect(":memory:")
    try:
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
        for setting in _CONFIGURATION:
            connection.execute(setting)
        return _answer(connection, sql, rows, timeout_s)
    finally:
        connection.close()


def _answer(connection: Any, sql: str, rows: int, timeout_s: float) -> pa.Table:
    """Ask in a thread of its own: DuckDB looks for Ctrl-C too rarely, a waiting main thread sees it."""
    import duckdb

    answers: list[pa.Table] = []
    failures: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        try:
            relation = connection.sql(sql)
            if relation is None:
                failures.append(QueryError(sql, "it returns nothing; start with SELECT"))
            else:
                answers.append(relation.limit(rows).to_arrow_table())
        except (duckdb.Error, RuntimeError) as error:
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=ask, name="unbug-query", daemon=True).start()
    until = time.monotonic() + timeout_s
    try:
        while not done.wait(0.1) and time.monotonic() < until:
            pass
        late = not done.is_set()
    finally:  # Ctrl-C too: the connection cannot be closed before the query has ended.
        while not done.is_set():
            connection.interrupt()
            done.wait(0.1)
    if answers:
        return answers[0]
    if late:
        raise QueryError(sql, f"it took longer than {timeout_s:g} s; ask for less") from None
    failure = failures[0]
    raise failure if isinstance(failure, QueryError) else QueryError(sql, _reason(failure)) from None


def _in_microseconds(table: pa.Table) -> pa.Table:
    """With times DuckDB can compute with: of nanoseconds in a zone it has no `avg`, `-` or `date_trunc`."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            column = table.column(at).cast(pa.timestamp("us", field.type.tz), safe=False)
            table = table.set_column(at, field.name, column)
    return table


def _reason(error: Exception) -> str:
    """What DuckDB says, without its picture of the query."""
    text = str(error).split("\nLINE ")[0].strip()
    return " ".join(text.split()) or type(error).__name__
