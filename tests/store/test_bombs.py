"""Small files that would take all memory: what they promise is refused before it is made."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from pathlib import Path
from struct import Struct

import numpy as np
import pytest

from unbug.store import RunReader, create_run, open_reader, open_writer, pack_run, writer_files
from unbug.store import source as store_source
from unbug.store.blocks import INDEX, check_index
from unbug.store.eventlog import encode_events
from unbug.store.frames import FormatError, FrameKind, frame
from unbug.store.rows import KEY
from unbug.types import Place, Series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of one writer that wrote one row."""
    path, _ = create_run(tmp_path / "runs", name="x")
    writer = open_writer(path)
    group = writer.group([Series(name="a", place=Place(path="", kind="loop"), origin="user")])
    writer.row(group, (1.0,), t_ns=1, step=0)
    writer.event("mode", {"module": "net"}, t_ns=1)
    writer.close()
    return writer.folder


def _opened(folder: Path, tmp_path: Path) -> list[RunReader]:
    """The run, and the same run packed."""
    run = folder.parent.parent
    pack_run(run, tmp_path / "x.unbug", replace=True)
    return [open_reader(run), open_reader(tmp_path / "x.unbug")]


def test_keys_without_values(folder: Path, tmp_path: Path) -> None:
    rows = 1 << 20
    keys = zlib.compress(bytes(rows * KEY.itemsize), 9)
    payload = Struct("<HIBI").pack(0, rows, 2, len(keys)) + keys
    with (folder / "live-000000.log").open("ab") as log:
        log.write(frame(FrameKind.ROWS, payload) * 50)
    for reader in _opened(folder, tmp_path):
        tracemalloc.start()
        assert reader.read(reader.series()[0]).values.tolist() == [1.0]
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
        tracemalloc.stop()
        assert any("has no values" in fault for fault in reader.faults)


def test_definitions_without_end(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_files, "MAX_DEFINITIONS", 1 << 20)
    places = [{"places": [{"path": "x" * 1000, "kind": "module"}] * 500}]
    piece = frame(FrameKind.DEFINITIONS, json.dumps(places).encode(), squeeze_above=10)
    assert len(piece) < 10_000
    with (folder / "definitions.log").open("ab") as log:
        log.write(piece * 100)
    for reader in _opened(folder, tmp_path):
        assert reader.read(reader.series()[0]).values.tolist() == [1.0]
        assert len(reader.places()) == 2
        assert any("it defines more than a run has" in fault for fault in reader.faults)


def test_events_without_end(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_source, "MAX_EVENTS", 1 << 20)
    line = json.dumps(["console", 1, -1, -1, 0, 2, {"text": " " * 100_000}])
    with (folder / "live-000000.log").open("ab") as log:
        log.write(encode_events([line], kind="console") * 100)
    for reader in _opened(folder, tmp_path):
        assert len(reader.events("mode")) == 1
        assert 1 <= len(reader.events("console")) < 15
        assert any("more events than a run has" in fault for fault in reader.faults)


def test_wide_blocks_of_constants() -> None:
    index = np.zeros(1, INDEX)
    index["length"], index["width"], index["rows"] = 1 << 26, 65535, 64
    check_index(index, 1 << 30)
    index["rows"] = 65536
    with pytest.raises(FormatError):
        check_index(index, 1 << 30)
    index["width"] = 16
    check_index(index, 1 << 30)


def test_a_manifest_without_end(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    (path / "status.json").write_text("[" * 1_000_000)
    assert "cannot be read" in open_reader(path).status.message
