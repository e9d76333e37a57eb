"""Whatever happens to the bytes: the run opens, what was whole is read, and nothing is read that was not
written."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbug.errors import NewerFormatError, NotARunError
from unbug.store import RunReader, create_run, open_reader, open_writer
from unbug.store.blocks import KEYS, check_index
from unbug.store.columns import decode_bytes, decode_floats, decode_ints
from unbug.store.frames import LOG_MAGIC, FormatError, FrameKind, frame
from unbug.store.segment import Segment
from unbug.types import Place, RunState, Series

STEPS = 24


def _write(path: Path, *, roll_flushes: int, steps: int = STEPS) -> Path:
    """A run with scalars of two widths, detail, blobs and events; one flush a step."""
    writer = open_writer(path, roll_flushes=roll_flushes)
    place = Place(path="net.fc", kind="module")
    one = writer.group([Series(name="a", place=place)])
    two = writer.group([Series(name="b", place=place), Series(name="c", place=place)])
    detail = writer.group([Series(name="d", place=place)], kind="detail")
    blob = writer.group([Series(name="e", place=place)], kind="blob")
    for step in range(steps):
        writer.row(one, (step * 1.5,), t_ns=step, training=0, step=step, phase=0)
        writer.row(two, (step / 3, -step), t_ns=step, training=0, step=step, phase=0)
        writer.row(detail, (float(step),), t_ns=step, training=0, step=step, phase=0)
        writer.row(blob, bytes([step]) * 50, t_ns=step, training=0, step=step, phase=0)
        writer.event("console", {"text": f"line {step}"}, t_ns=step)
        writer.flush()
    writer.maintain(budget_s=60.0)
    writer.close()
    return writer.folder


TRUTH = {
    "a": [step * 1.5 for step in range(STEPS)],
    "b": [step / 3 for step in range(STEPS)],
    "c": [-float(step) for step in range(STEPS)],
    "d": [float(step) for step in range(STEPS)],
}


def _read_all(path: Path) -> tuple[dict[str, list[int]], RunReader]:
    """Steps read of each series, after checking that each value is the one written at that step."""
    reader = open_reader(path)
    steps: dict[str, list[int]] = {name: [] for name in (*TRUTH, "e", "console")}
    for series in reader.series():
        if series.name == "e":
            for training, step, blob in reader.blobs(series):
                assert (training, blob) == (0, bytes([step]) * 50)
                steps["e"].append(step)
            continue
        points = reader.read(series)
        assert points.values.tolist() == [TRUTH[series.name][step] for step in points.step]
        steps[series.name] = points.step.tolist()
        assert reader.curve(series, points=5).count.sum() == len(points.step)
    for event in reader.events("console"):
        assert event.fields == {"text": f"line {event.t_ns}"}
        steps["console"].append(event.t_ns)
    reader.close()
    return steps, reader


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path, _ = create_run(tmp_path, name="x")
    return path


def test_a_log_cut_at_every_byte_keeps_every_flush_before_the_cut(made: Path) -> None:
    log = _write(made, roll_flushes=1000, steps=6) / "live-000000.log"
    data = log.read_bytes()
    ends = [len(LOG_MAGIC)]
    position = len(LOG_MAGIC)
    while position < len(data):
        position += 12 + int.from_bytes(data[position : position + 4], "little")
        ends.append(position)
    frames_of_a_flush = (len(ends) - 1) // 6
    for size in range(len(data), -1, -1):
        os.truncate(log, size)
        whole = max(sum(end <= size for end in ends) - 1, 0) // frames_of_a_flush
        steps, reader = _read_all(made)
        for name, got in steps.items():
            assert got[:whole] == list(range(whole)), (name, size)
            assert len(got) <= whole + 1
        assert not reader.faults


@pytest.mark.parametrize("kind", ["s", "d", "b", "e"])
def test_a_segment_cut_at_every_byte_keeps_its_whole_blocks(made: Path, kind: str) -> None:
    folder = _write(made, roll_flushes=STEPS)
    (segment,) = folder.glob(f"{kind}-*.seg")
    names = {"s": ("a", "b", "c"), "d": ("d",), "b": ("e",), "e": ("console",)}[kind]
    size = segment.stat().st_size
    seen = set()
    for cut in range(size - 1, -1, -1):
        os.truncate(segment, cut)
        steps, reader = _read_all(made)
        for name, got in steps.items():
            assert got in ([], list(range(STEPS))), (name, cut)
            assert name in names or got
            seen.add((name, bool(got)))
        assert any(segment.name in fault for fault in reader.faults), cut
    assert {(name, False) for name in names} <= seen
    assert {(name, True) for name in names} <= seen, "blocks in front of the cut are read"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_and_torn_bytes_never_give_a_value_that_was_not_written(
    data: st.DataObject, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    if not origin.exists():
        path, _ = create_run(tmp_path, name="origin")
        _write(path, roll_flushes=10)
    damaged = tmp_path / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(origin, damaged)
    files = sorted(one for one in (damaged / "writers").rglob("*") if one.is_file())
    for _ in range(data.draw(st.integers(1, 4))):
        one = data.draw(st.sampled_from(files))
        content = bytearray(one.read_bytes())
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        match data.draw(st.sampled_from(["flip", "zero", "insert", "huge"])):
            case "flip":
                content[at : at + 1] = (
                    bytes([content[at] ^ data.draw(st.integers(1, 255))]) if content else b""
                )
            case "zero":
                content[at : at + 64] = bytes(len(content[at : at + 64]))
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=20))
            case "huge":
                content[at : at + 4] = b"\xff\xff\xff\x7f"
        one.write_bytes(content)
    if "definitions.log" in {one.name for one in files}:
        _read_all(damaged)


def test_files_of_strangers_are_ignored(made: Path) -> None:
    folder = _write(made, roll_flushes=1000)
    (folder / "notes.txt").write_text("mine")
    (folder / "s-000009-000001-0.seg").write_bytes(b"")
    (folder / "live-1.log").write_bytes(b"x")
    (made / "writers" / "stray").write_text("x")
    (made / "writers" / "empty").mkdir()
    steps, reader = _read_all(made)
    assert steps["a"] == list(range(STEPS))
    assert reader.faults == ()


def _bomb() -> bytes:
    return zlib.compress(bytes(1 << 27), 9)


def test_a_decompression_bomb_takes_no_memory(made: Path) -> None:
    import tracemalloc

    folder = _write(made, roll_flushes=1000)
    bomb = _bomb()
    with (folder / "live-000000.log").open("ab") as log:
        payload = b"\x00" + (1 << 30).to_bytes(4, "little") + bomb
        log.write(frame(FrameKind.EVENTS, payload))
        head = (1).to_bytes(4, "little") + (1 << 22).to_bytes(4, "little")[:4]
        log.write(frame(FrameKind.ROWS, head + bomb))
        log.write(frame(FrameKind.ROWS, b""))
        log.write(frame(FrameKind.EVENTS, b"\x00\x00\x00\x00\x00" + b"[" * 100_000))
        log.write(frame(FrameKind.EVENTS, b'\x00\x00\x00\x00\x00["console",1,1,1,1,7,{}]'))
    tracemalloc.start()
    try:
        steps, reader = _read_all(made)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert steps["a"] == list(range(STEPS))
    assert reader.faults
    assert peak < 32 << 20


@pytest.mark.parametrize(
    "attack",
    [
        lambda: decode_ints(b"\x01" + b"\xff" * 16, 3),
        lambda: decode_ints(
            b"\x02" + bytes(17) + b"\x01" + bytes([1]) + (9).to_bytes(4, "little") + _bomb(), 10
        ),
        lambda: decode_ints(b"\x02", 10),
        lambda: decode_ints(b"", 10),
        lambda: decode_floats(b"\x03" + b"\xff" + (5).to_bytes(4, "little") + b"12345", 10),
        lambda: decode_floats(b"\x03\x00\x00\x00\x00\x00" + bytes(7), 1),
        lambda: decode_floats(b"\x00", 10),
        lambda: decode_bytes(b"\x05" + _bomb(), 10),
        lambda: decode_bytes(b"\x04abc", 2),
        lambda: decode_bytes(b"", 0),
    ],
)
def test_hostile_columns_are_refused(attack: Any) -> None:
    try:
        out = attack()
    except FormatError:
        return
    assert len(out) == 3  # Three wrapped integers are what the first one says.


def test_an_index_that_points_outside_is_refused(made: Path, tmp_path: Path) -> None:
    folder = _write(made, roll_flushes=STEPS)
    (path,) = folder.glob("s-*.seg")
    good = Segment(path, "s")
    assert len(good.index) == 2
    assert KEYS[0] == "group"
    index = good.index.copy()
    good.close()
    check_index(index, good.size)
    for name, value in [
        ("offset", 1 << 63),
        ("length", (1 << 32) - 1),
        ("rows", 1 << 31),
        ("rows", 0),
        ("width", 1 << 31),
        ("levels", 1 << 31),
        ("group_last", 0),
    ]:
        bad = index.copy()
        bad[name][1] = value
        if name == "group_last":
            bad["group_first"][1] = 1
        with pytest.raises(FormatError):
            check_index(bad, good.size)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match=r"there is nothing there.*unbug ls"):
        open_reader(tmp_path / "none")
    with pytest.raises(NotARunError, match=r"it has no run\.json"):
        open_reader(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotARunError, match="it is neither a folder nor a packed run"):
        open_reader(tmp_path / "file")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"format_version": "1"}',
        '{"format_version": 1, "id": 5, "name": "x", "created_ns": 1, "anchor_ns": 1}',
        '{"format_version": 1, "id": "x", "name": "x", "created_ns": 1, "anchor_ns": 1, "facts": 7}',
        "[" * 200_000,
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(NotARunError, match=r"run\.json cannot be read"):
        open_reader(tmp_path)


def test_a_newer_format_says_how_to_upgrade(made: Path) -> None:
    manifest = made / "run.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(
        NewerFormatError, match=r"format 2, this unbug reads up to 1; upgrade with `pip install -U"
    ):
        open_reader(made)


def test_unknown_fields_are_ignored(made: Path) -> None:
    manifest = made / "run.json"
    manifest.write_text(manifest.read_text().replace("{", '{"novelty": [1],', 1))
    status = made / "status.json"
    status.write_text(status.read_text().replace("{", '{"novelty": [1],', 1))
    reader = open_reader(made)
    assert reader.run.name == "x"
    assert reader.status.state is RunState.RUNNING


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"state": "odd", "updated_ns": 1}', None])
def test_a_status_that_cannot_be_read_is_lost(made: Path, text: str | None) -> None:
    if text is None:
        (made / "status.json").unlink()
    else:
        (made / "status.json").write_text(text)
    status = open_reader(made).status
    assert status.state is RunState.LOST
    assert "status.json cannot be read" in status.message


def _hostile_definitions() -> Iterator[bytes]:
    yield b"[1, 2]"
    yield b'[{"group": [0, 5]}]'
    yield (
        b'[{"places": [{"path": "a", "kind": "module"}], '
        b'"template": ["scalar", [["n", "", "", "auto", ""]]], "group": [0, -1]}]'
    )
    yield b'[{"template": ["evil", []], "group": [0, 0]}]'
    yield b"[" * 100_000
    yield "é".encode("latin-1")


@pytest.mark.parametrize("payload", list(_hostile_definitions()))
def test_hostile_definitions_are_said_and_skipped(made: Path, payload: bytes) -> None:
    folder = _write(made, roll_flushes=1000)
    with (folder / "definitions.log").open("ab") as log:
        log.write(frame(FrameKind.DEFINITIONS, payload))
    steps, reader = _read_all(made)
    assert steps["a"] == list(range(STEPS))
    assert any("a definition cannot be read" in fault for fault in reader.faults)


def test_rows_of_a_group_that_nobody_defined_are_left_out(made: Path) -> None:
    folder = _write(made, roll_flushes=1000)
    definitions = folder / "definitions.log"
    definitions.write_bytes(definitions.read_bytes()[:-1])
    steps, _ = _read_all(made)
    assert set(map(len, steps.values())) == {0, STEPS}  # Events need no definition.
    assert np.sum([len(got) for got in steps.values()]) == STEPS
