"""Run folders: append-only, read while written, whole after a kill.

Importing this loads neither numpy nor pyarrow nor duckdb; each name loads what it needs when it is first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unbug.store.contract import Curve, GroupKind, Points, Reader, Writer

if TYPE_CHECKING:
    from unbug.store.attempts import next_attempt
    from unbug.store.catalogue import RunSummary, find_run, list_runs, remove_run
    from unbug.store.export import ExportFormat, csv_ready, dated, export_table, json_records
    from unbug.store.folders import create_run, default_directory, label
    from unbug.store.gc import Collected, collect
    from unbug.store.identity import new_id, process_identity
    from unbug.store.meanings import column_meaning, sql_type
    from unbug.store.mediafiles import MediaFiles
    from unbug.store.mediaview import MediaItem, media_items
    from unbug.store.opening import open_writer
    from unbug.store.pack import pack_run, packed_name
    from unbug.store.packed import is_packed
    from unbug.store.plaincsv import csv_text, plain_text
    from unbug.store.reader import RunReader, open_reader
    from unbug.store.rename import rename_run, tag_run
    from unbug.store.sql import is_asking, query
    from unbug.store.tabular import Tables, tables
    from unbug.store.writer import RunWriter

__all__ = [
    "Collected",
    "Curve",
    "ExportFormat",
    "GroupKind",
    "MediaFiles",
    "MediaItem",
    "Points",
    "Reader",
    "RunReader",
    "RunSummary",
    "RunWriter",
    "Tables",
    "Writer",
    "collect",
    "column_meaning",
    "create_run",
    "csv_ready",
    "csv_text",
    "dated",
    "default_directory",
    "export_table",
    "find_run",
    "is_asking",
    "is_packed",
    "json_records",
    "label",
    "list_runs",
    "media_items",
    "new_id",
    "next_attempt",
    "open_reader",
    "open_writer",
    "pack_run",
    "packed_name",
    "plain_text",
    "process_identity",
    "query",
    "remove_run",
    "rename_run",
    "sql_type",
    "tables",
    "tag_run",
]

_HOME = {
    "Collected": "gc",
    "ExportFormat": "export",
    "MediaFiles": "mediafiles",
    "MediaItem": "mediaview",
    "Tables": "tabular",
    "collect": "gc",
    "export_table": "export",
    "column_meaning": "meanings",
    "csv_ready": "export",
    "dated": "export",
    "json_records": "export",
    "csv_text": "plaincsv",
    "is_asking": "sql",
    "is_packed": "packed",
    "pack_run": "pack",
    "packed_name": "pack",
    "rename_run": "rename",
    "tag_run": "rename",
    "plain_text": "plaincsv",
    "sql_type": "meanings",
    "query": "sql",
    "tables": "tabular",
    "RunReader": "reader",
    "RunSummary": "catalogue",
    "RunWriter": "writer",
    "create_run": "folders",
    "default_directory": "folders",
    "find_run": "catalogue",
    "label": "folders",
    "list_runs": "catalogue",
    "media_items": "mediaview",
    "new_id": "identity",
    "next_attempt": "attempts",
    "open_reader": "reader",
    "open_writer": "opening",
    "process_identity": "identity",
    "remove_run": "catalogue",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"unbug.store.{_HOME[name]}"), name)
    raise AttributeError(f"module 'unbug.store' has no attribute {name!r}")
