"""`unbug tail` and `unbug ls --watch`: a run while it goes on."""

from __future__ import annotations

import json
import math
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.cli.commands.tail import finding_line, status_line
from unbug.cli.follow import KEPT, Follower, Sight
from unbug.cli.picture import reduced, sparkline
from unbug.cli.style import visible_width
from unbug.store import create_run, open_reader, open_writer, process_identity
from unbug.types import Place, RunState, Series, Status, Training

LOSS = Series(name="loss.value", place=Place(path="loss", kind="loss", training=0))
MS = 1_000_000


class Live:
    """A run that is written step by step on clocks that stand still."""

    def __init__(self, folder: Path) -> None:
        self.path, self.run = create_run(folder, name="live", wall_ns=lambda: 10**18, clock_ns=lambda: 0)
        self.writer = open_writer(self.path, clock_ns=lambda: 0, wall_ns=lambda: 10**18)
        self.group = self.writer.group([LOSS])
        self.write(0)

    def write(
        self, steps: int, *, first: int = 0, state: RunState = RunState.RUNNING, **more: object
    ) -> None:
        for step in range(first, first + steps):
            self.writer.row(
                self.group, (1 / (step + 1),), t_ns=step * 10 * MS, training=0, step=step, phase=0
            )
        if steps:
            self.writer.training(Training(number=0, steps=first + steps))
        self.writer.flush()
        self.writer.status(Status(state=state, updated_ns=10**18, **process_identity(), **more))


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path / "runs")


def test_each_look_takes_what_is_new(live: Live) -> None:
    now = 10**18
    follower = Follower(open_reader(live.path), wall_ns=lambda: now)
    sight = follower.look()
    assert (sight.training, sight.step, sight.losses, sight.idle_s) == (-1, 0, (), None)
    live.write(10)
    now += 1000 * MS
    sight = follower.look()
    assert (sight.training, sight.step, sight.ended) == (0, 10, False)
    assert sight.losses == tuple(1 / (step + 1) for step in range(10))
    assert sight.step_time_s == pytest.approx(0.010) and sight.idle_s == pytest.approx(1.0 - 0.09)
    finding = {"rule": "T101", "name": "x", "place": "net", "message": "m", "severity": "error"}
    live.writer.event("finding", finding, t_ns=5)
    live.write(2000, first=10)
    sight = follower.look()
    assert sight.step == 2010 and len(sight.losses) == KEPT and [*sight.findings] == [finding]
    live.writer.event("finding", finding, t_ns=6)
    live.write(0, state=RunState.FAILED, exit_code=1, ended_ns=10**18 + 3000 * MS, message="boom")
    sight = follower.look()
    assert sight.findings == () and sight.ended and (sight.exit_code, sight.message) == (1, "boom")
    assert sight.elapsed_s == pytest.approx(3.0)


def test_who_comes_late_sees_the_last_steps(live: Live) -> None:
    live.write(5000)
    sight = Follower(open_reader(live.path), wall_ns=lambda: 10**18).look()
    assert sight.step == 5000 and len(sight.losses) == KEPT and sight.losses[-1] == 1 / 5000


def test_the_newest_training_is_followed(live: Live) -> None:
    live.write(5)
    follower = Follower(open_reader(live.path), wall_ns=lambda: 10**18)
    assert follower.look().training == 0
    other = Series(name="loss.value", place=Place(path="loss", kind="loss", training=1))
    group = live.writer.group([other])
    live.writer.row(group, (7.0,), t_ns=5, training=1, step=0, phase=0)
    live.writer.training(Training(number=1, steps=1))
    live.writer.flush()
    sight = follower.look()
    assert (sight.training, sight.step, sight.losses) == (1, 1, (7.0,))


@given(
    values=st.lists(st.floats(width=32), max_size=500),
    width=st.integers(10, 120),
    step=st.integers(0, 10**12),
    ascii_only=st.booleans(),
)
def test_the_line_fits(values: list[float], width: int, step: int, ascii_only: bool) -> None:
    sight = Sight(
        state=RunState.RUNNING, attempt=0, exit_code=None, message="", elapsed_s=1e5, training=3, step=step,
        losses=tuple(values), step_time_s=0.0123, idle_s=99.0,
    )  # fmt: skip
    line = status_line(sight, width=width, color=True, ascii_only=ascii_only)
    assert visible_width(line) <= width
    assert not ascii_only or line.isascii()


def test_pictures() -> None:
    assert sparkline([0, 1, 2, 7]) == "▁▂▃█"
    assert sparkline([1, math.nan, 1, math.inf]) == "▁!▁!"
    assert sparkline([]) == "" and sparkline([1e308, -1e308]) == "█▁"
    assert reduced([1, 1, 3, 3], 2) == [1, 3] and reduced([1, 2], 5) == [1, 2]
    hostile = {"severity": "error", "rule": "X1", "name": "a\x1b[2J", "place": "\u202e", "message": "m" * 300}
    line = finding_line(hostile, width=60, color=False, ascii_only=True)
    assert visible_width(line) <= 60 and "\x1b" not in line and "\u202e" not in line


def test_json_lines_until_the_end(live: Live, unbug) -> None:
    live.write(3)
    command = [sys.executable, "-m", "unbug", "tail", str(live.path), "--json", "--interval", "0.1"]
    with subprocess.Popen(command, env=unbug.environment(), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        lines = [json.loads(following.stdout.readline()) for _ in range(2)]
        live.write(2, first=3)
        lines.append(json.loads(following.stdout.readline()))
        live.write(0, state=RunState.FINISHED, exit_code=0)
        lines += [json.loads(line) for line in following.stdout]
        assert following.wait() == 0
    assert [one["kind"] for one in lines] == ["run", "status", "status", "end"]
    assert [one["step"] for one in lines[1:3]] == [3, 5]
    assert lines[-1]["state"] == "finished" and lines[1]["loss"] == pytest.approx(1 / 3)


def test_a_run_that_has_ended_is_told_at_once(trained) -> None:
    out = trained("tail", "@last").stdout
    assert out.startswith("following first run\n") and "step 60" in out
    assert out.splitlines()[-1].startswith("finished after")
    assert "0.05 to 3600" in trained("tail", "@last", "--interval", "0", code=2).stderr


def _on_a_terminal(command: list[str], environment: dict[str, str], until: str) -> tuple[int, str]:
    """Run on a terminal, interrupt once `until` was shown; exit code and all that was shown."""
    main, other = pty.openpty()
    shown = bytearray()
    with subprocess.Popen(
        command, env={**environment, "COLUMNS": "100", "LINES": "20", "TERM": "xterm"},
        stdin=other, stdout=other, stderr=other, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as started:  # fmt: skip
        os.close(other)

        def read() -> None:
            while True:
                try:
                    piece = os.read(main, 4096)
                except OSError:
                    return
                if not piece:
                    return
                shown.extend(piece)

        reader = threading.Thread(target=read)
        reader.start()
        limit = time.monotonic() + 60
        while until.encode() not in shown and time.monotonic() < limit:
            time.sleep(0.05)
        started.send_signal(signal.SIGINT)
        code = started.wait(30)
        reader.join(10)
    os.close(main)
    return code, shown.decode()


def test_tail_on_a_terminal_ends_clean_by_control_c(live: Live, unbug) -> None:
    live.write(30)
    command = [sys.executable, "-m", "unbug", "tail", str(live.path), "--interval", "0.1"]
    code, shown = _on_a_terminal(command, unbug.environment(), "\x1b[K")
    assert code == 130 and "Traceback" not in shown
    assert "step" in shown and "30" in shown and "▁" in shown
    assert open_reader(live.path).status.state is RunState.RUNNING


def test_ls_watch_gives_the_screen_back(live: Live, unbug) -> None:
    command = [sys.executable, "-m", "unbug", "ls", "--watch", str(live.path.parent)]
    code, shown = _on_a_terminal(command, unbug.environment(), "running")
    assert code == 0 and "Traceback" not in shown
    assert shown.index("\x1b[?1049h") < shown.index("running") < shown.index("\x1b[?1049l")
    assert "live" in shown[shown.index("\x1b[?1049l") :]
