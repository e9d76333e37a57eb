"""A run from beginning to end: what it leaves, how it ends, what it survives."""

from __future__ import annotations

import json
import os
import signal
import stat
import time

import pytest

from unbug.types import RunState

LOOP = """
from training import *
print(f"{train(STEPS):.6f}")
"""
WRONG = """
import sys, time
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(64, 8); y = (x.sum(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2), nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
until = time.monotonic() + float(sys.argv[1])
steps = 0
while steps < 40 or time.monotonic() < until:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    steps += 1
    time.sleep(0.002)
    if steps == 100:
        print("ready", flush=True)
"""
LEFT = """
import gc, os, sys, threading
def left():
    import torch
    from torch.nn.modules import module
    hooks = [module._global_forward_hooks, module._global_forward_pre_hooks, module._global_backward_hooks]
    patched = [
        function.__code__.co_name for function in
        (torch.nn.functional.cross_entropy, torch.autograd.backward, torch.nn.Module.__call__)
        if "unbug" in str(function.__code__.co_consts) or "unbug" in function.__code__.co_filename
    ]
    files = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    files = sorted(os.readlink(file) for file in files if os.path.lexists(file))
    with open("/proc/self/task/%d/children" % os.getpid()) as file:
        children = file.read()
    return {
        "threads": len(os.listdir("/proc/self/task")), "known threads": threading.active_count(),
        "files": [name for name in files if "runs" in name or "unbug" in name], "children": children,
        "hooks": sum(map(len, hooks)), "finders": [str(finder) for finder in sys.meta_path],
        "stdout": type(getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)).__module__,
        "own": sys.stdout is sys.__stdout__,
        "environment": sorted(name for name in os.environ if name.startswith("UNBUG")),
        "patched": patched,
    }
"""


def test_zero_code_and_api_give_the_same_records(place):
    place.recorded(LOOP.replace("STEPS", "25"), options=("--name", "command"))
    place.program(
        """
        import unbug
        with unbug.run(name="code") as run:
            from training import *
            run.watch(model, optimizer)
            print(f"{train(25):.6f}")
        """
    )
    found = []
    for name in ("command", "code"):
        with place.open(name) as view:
            kinds = {event.kind for event in view.events()} - {"finding"}
            series = {(one.name, one.place.path, one.statistic) for one in view.series(origin="auto")}
            losses = view.read("loss.value").values.tolist()
            found.append((kinds, series, losses, view.trainings[0].parameters, view.status.steps))
    assert found[0] == found[1]
    assert found[0][4] == 25


def test_manifest_and_folder(place):
    place.recorded(LOOP.replace("STEPS", "3"), "--lr", "0.1", options=("--tag", "x", "--tag", "y"))
    with place.open() as view:
        facts = view.run.facts
        assert facts["command"][1:] == ["program.py", "--lr", "0.1"]
        assert facts["cwd"] == str(place.folder)
        assert facts["entry"]["file"] == str(place.folder / "program.py")
        assert facts["settings"]["tags"] == {"value": ["x", "y"], "origin": "--tags"}
        assert "OMP_NUM_THREADS" in facts["environment"]
        assert "PATH" not in facts["environment"]
        environment = {}
        for event in view.events("environment"):
            environment |= event.fields
        assert environment["packages"]["torch"].startswith("2.")
        assert environment["torch"]["threads"] == 1
        sources = {os.path.basename(event.fields["file"]): event.fields for event in view.events("source")}
        assert sources["training.py"]["text"] == (place.folder / "training.py").read_text()
        assert set(sources) == {"program.py", "training.py"}
        assert view.run.tags == ("x", "y")
        assert stat.S_IMODE(view.path.stat().st_mode) == 0o700
        assert (view.path / ".gitignore").read_text() == "*\n"
        rates = view.read("process.rss_bytes").values
        assert (rates > 1e7).all()


@pytest.mark.parametrize("how", ["hash", "off"])
def test_source_may_be_kept_out(place, how):
    place.recorded(LOOP.replace("STEPS", "3"), env={"UNBUG_PRIVACY_SOURCE": how})
    with place.open() as view:
        fields = [event.fields for event in view.events("source")]
        assert all("text" not in one for one in fields)
        assert len(fields) == (2 if how == "hash" else 0)


def test_findings_are_said_once_at_once_and_at_the_end(place):
    done = place.recorded(WRONG, "6")
    lines = done.stderr.splitlines()
    live = [line for line in lines if line.startswith("unbug: error L101")]
    assert len(live) == 1
    assert live[0].endswith("since step 0, program.py:7")
    assert lines.index(live[0]) < next(
        number for number, line in enumerate(lines) if line.startswith("✖ L101")
    )
    assert done.stdout == "ready\n"
    with place.open() as view:
        told = [event for event in view.events("finding") if event.fields["rule"] == "L101"]
        coverage = view.events("coverage")[-1].fields
        wall_s = (view.status.ended_ns - view.run.created_ns) / 1e9
        assert view.status.findings["error"] == 1
    assert len(told) == 1
    assert coverage["live_looks"] >= 1
    assert coverage["live_cpu_s"] < 0.1 * wall_s


def test_quiet_says_nothing(place):
    assert place.recorded(WRONG, "0", options=("--quiet",)).stderr == ""


def test_fail_on(place):
    assert place.recorded(WRONG, "0", options=("--fail-on", "error", "--quiet"), code=3).stdout == ""
    place.recorded(LOOP.replace("STEPS", "40"), options=("--fail-on", "warning", "--quiet"), code=0)
    place.recorded("raise SystemExit(7)", options=("--fail-on", "error", "--quiet"), code=7)


ENDS = {
    "returns": ("", 0, RunState.FINISHED),
    "exits 0": ("import sys; sys.exit()", 0, RunState.FINISHED),
    "exits 5": ("import sys; sys.exit(5)", 5, RunState.FAILED),
    "exits with text": ("import sys; sys.exit('no data')", 1, RunState.FAILED),
    "raises": ("def f():\n    raise ValueError('wrong shape')\nf()", 1, RunState.FAILED),
    "interrupts itself": ("raise KeyboardInterrupt", -2, RunState.INTERRUPTED),
}


@pytest.mark.parametrize(("text", "code", "state"), ENDS.values(), ids=ENDS)
def test_ends_as_under_python(place, text, code, state):
    train = "import sys\nif len(sys.argv) < 2:\n    from training import *\n    train(5)"
    program = f"{train}\nprint('done')\n{text}\n"
    bare = place.program(program, "without torch", code=code)
    watched = place.recorded(program, options=("--quiet",), code=code)
    assert (watched.stdout, watched.stderr) == (bare.stdout, bare.stderr)
    with place.open() as view:
        assert view.status.state is state
        assert view.status.exit_code == (130 if code == -2 else code)
        assert view.status.steps == 5
        crashes = view.events("crash")
        assert len(crashes) == (1 if "raise" in text else 0)
        if "ValueError" in text:
            trace = crashes[0].fields["traceback"]
            assert trace.splitlines()[-1] == "ValueError: wrong shape"
            assert "/unbug/" not in trace


def test_nothing_is_left_behind_on_success_exception_and_interrupt(place):
    done = place.program(
        LEFT
        + """
import json, time
import torch, numpy
from training import *
train(2)
before = left()
import unbug
seen = []
for end in (None, ValueError("x"), KeyboardInterrupt()):
    try:
        with unbug.run(quiet=True) as run:
            run.watch(model, optimizer)
            train(30)
            run.log({"x": 1.0})
            inside = left()
            if end is not None:
                raise end
    except BaseException as error:
        assert error is end
    after, until = left(), time.monotonic() + 20
    while after["threads"] > before["threads"] and time.monotonic() < until:
        time.sleep(0.01)  # on a busy machine the last diagnosis is given up, and ends a moment later
        after = left()
    seen.append([before, inside, after])
print(json.dumps(seen))
"""
    )
    for before, inside, after in json.loads(done.stdout.splitlines()[-1]):
        assert after == before
        assert inside["known threads"] == before["known threads"]
        assert inside["threads"] == before["threads"] + 1
        assert inside["files"]
    assert [view.status.state for view in map(place.open, ("program", "program-2", "program-3"))] == [
        RunState.FINISHED,
        RunState.FAILED,
        RunState.INTERRUPTED,
    ]


def test_runs_follow_each_other_and_do_not_nest(place):
    done = place.program(
        """
        import unbug
        from training import *
        for number in range(3):
            with unbug.run(name="again", quiet=True) as run:
                train(5)
                run.log({"number": number})
                try:
                    unbug.run()
                except unbug.errors.UsageError as error:
                    print(error)
        try:
            run.log({"late": 1.0})
        except unbug.errors.UsageError as error:
            print(error)
        try:
            run.watch(model)
        except unbug.errors.UsageError as error:
            print(error)
        run.close()
        """
    )
    lines = done.stdout.splitlines()
    assert len([line for line in lines if "a run is open already" in line and "close it first" in line]) == 3
    assert "cannot log: the run is closed" in lines[3]
    assert "cannot watch: the run is closed" in lines[4]
    for name in ("again", "again-2", "again-3"):
        with place.open(name) as view:
            assert view.status.steps == 5


def test_of_two_threads_one_begins(place):
    done = place.program(
        """
        import threading
        import unbug
        from training import *
        gate, said = threading.Barrier(8), []
        def begin():
            gate.wait()
            try:
                said.append(unbug.run(quiet=True))
            except unbug.errors.UsageError as error:
                said.append(str(error))
        threads = [threading.Thread(target=begin) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        runs = [one for one in said if not isinstance(one, str)]
        train(5)
        runs[0].close()
        print(len(runs), sum("a run is open already" in one for one in said if isinstance(one, str)))
        """
    )
    assert (done.stdout, done.stderr) == ("1 7\n", "")
    with place.open() as view:
        assert view.status.steps == 5


def test_a_run_begun_and_ended_while_the_program_ends(place):
    done = place.program(
        """
        import atexit
        import unbug
        from training import *
        def last():
            with unbug.run(name="late", quiet=True) as run:
                train(5)
                run.log({"x": 1.0})
            print(run.path.name)
        atexit.register(last)
        """
    )
    assert (done.stdout, done.stderr) == ("late\n", "")
    with place.open() as view:
        assert view.status.state is RunState.FINISHED
        assert view.read("x").values.tolist() == [1.0]


def test_code_joins_the_run_of_the_command(place):
    place.recorded(
        """
        import unbug
        from training import *
        with unbug.run(name="ignored") as run:
            train(5)
            run.log({"mine": 1.0})
        train(5)
        """,
        options=("--name", "outer", "--quiet"),
    )
    assert [path.name for path in place.runs.iterdir() if path.is_dir()] == ["outer"]
    with place.open() as view:
        assert view.read("mine").values.tolist() == [1.0]
        assert view.read("mine").step.tolist() == [4]
        assert view.status.steps == 10


def test_a_run_that_nobody_closes_ends_with_the_program(place):
    place.program(
        "import unbug\nrun = unbug.run(quiet=True)\nfrom training import *\ntrain(5)\nraise ValueError('x')",
        code=1,
    )
    with place.open() as view:
        assert view.status.state is RunState.FAILED
        assert view.events("crash")[0].fields["error"] == "ValueError: x"


def test_switched_off(place):
    program = """
        import unbug, sys
        with unbug.run() as run:
            run.log({"x": 1.0})
            print(run.path, run.id)
        print("unbug.hooks" in sys.modules)
    """
    assert place.program(program, env={"UNBUG": "0"}).stdout == "None None\nFalse\n"
    assert place.recorded("print(6)", env={"UNBUG": "0"}).stdout == "6\n"
    assert not place.runs.exists()


def test_a_program_without_torch_is_not_made_to_load_it(place):
    done = place.recorded("import sys\nprint('torch' in sys.modules, 'unbug.record' in sys.modules)")
    assert done.stdout == "False False\n"
    assert "did not import torch" in done.stderr


def test_interrupt_ends_by_the_signal_and_closes_the_run(place):
    name = place.write(WRONG)
    with place.start("-m", "unbug", "run", name, "60") as child:
        child.stdout.readline()
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert "✖ L101" in err
    with place.open() as view:
        assert view.status.state is RunState.INTERRUPTED
        assert view.status.steps >= 100


INTERRUPTED = """
import signal
from training import *
from unbug.record.steps import Steps

begin, begun = Steps.begin, []

def interrupted(self, optimizer):
    begin(self, optimizer)
    begun.append(1)
    if len(begun) == 5:
        signal.raise_signal(signal.SIGINT)

Steps.begin = interrupted
try:
    train(10)
finally:
    Steps.begin = begin
"""


def test_an_interrupt_inside_unbug_shows_the_program_alone(place):
    done = place.recorded(INTERRUPTED, code=-signal.SIGINT)
    told, _, said = done.stderr.partition("KeyboardInterrupt\n")
    assert "optimizer.step()" in told
    assert said
    with place.open() as view:
        crash = view.events("crash")[0].fields["traceback"]
        assert view.status.state is RunState.INTERRUPTED
    for trace in (told, crash):
        frames = [line for line in trace.splitlines() if line.lstrip().startswith("File ")]
        assert frames
        assert not any("/unbug/" in line for line in frames), trace


def test_a_program_that_catches_an_interrupt_inside_unbug_is_recorded_on(place):
    again = INTERRUPTED.replace("finally:", "except KeyboardInterrupt:")
    place.recorded(again + "train(20)\n")
    with place.open() as view:
        assert view.status.steps == 24  # the interrupted one did not happen
        assert not view.events("fault")


def test_an_interrupt_before_the_program_begins(place):
    (place.folder / "sitecustomize.py").write_text(
        "import signal, sys, unbug.session.opening as opening\n"
        "opening.open_recording = lambda *a, **k: signal.raise_signal(signal.SIGINT)\n"
    )
    paths = f"{place.folder}:{place.environment()['PYTHONPATH']}"
    done = place.recorded("print(1)", code=-signal.SIGINT, env={"PYTHONPATH": paths})
    assert (done.stdout, done.stderr) == ("", "KeyboardInterrupt\n")


@pytest.mark.parametrize("gap_s", [0.0, 0.1])
def test_interrupt_twice(place, gap_s):
    name = place.write(WRONG)
    with place.start("-m", "unbug", "run", name, "60") as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        time.sleep(gap_s)
        began = time.monotonic()
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert time.monotonic() - began < 20  # of 60 that the program would take
    assert child.returncode == -signal.SIGINT
    assert "unbug itself failed" not in err
    with place.open() as view:
        assert view.status.state is RunState.INTERRUPTED
        assert len(view.read("loss.value").values) == view.status.steps >= 100


def test_killed_is_seen_and_what_was_flushed_is_there(place):
    name = place.write(WRONG)
    with place.start("-m", "unbug", "run", name, "60") as child:
        child.stdout.readline()
        time.sleep(1)
        child.kill()
        child.communicate()
    with place.open() as view:
        assert view.status.state is RunState.KILLED
        assert len(view.read("loss.value").values) >= 100
        assert any(finding.rule == "L101" for finding in view.findings())


BREAKS = {
    "recorder": "record.recorder:Recorder.step_end",
    "hub": "hooks.hub:Hub.install",
    "flush": "store.writer:RunWriter.flush",
    "resources": "session.resources:Resources.sample",
    "sources": "session.sources:Sources.take_new",
    "diagnosis": "detect.engine:first_to_fix",
    "report": "report.lines:_Lines.text",
    "coverage": "record.recorder:Recorder.coverage",
    "status": "store.writer:RunWriter.status",
    "console": "session.capture:Capture.drain",
    "environment": "session.opening:first_facts",
}


def test_a_bug_inside_unbug_does_not_stop_the_program(place):
    done = place.program(
        """
        import importlib, sys, time
        import unbug
        from training import *

        def broken(*args, **kwargs):
            raise AttributeError("a planted bug")

        for name, where in BREAKS.items():
            module, _, path = where.partition(":")
            target = importlib.import_module(f"unbug.{module}")
            *owner, attribute = path.split(".")
            for part in owner:
                target = getattr(target, part)
            kept = getattr(target, attribute)
            setattr(target, attribute, broken)
            print("begin", name, file=sys.stderr, flush=True)
            try:
                with unbug.run(name=name) as run:
                    train(40)
                    time.sleep(0.7)
                    run.log({"x": 1.0})
                    train(5)
                print(name, "went on")
            finally:
                setattr(target, attribute, kept)
        """.replace("BREAKS", repr(BREAKS))
    )
    assert done.stdout == "".join(f"{name} went on\n" for name in BREAKS)
    for name, said in zip(BREAKS, done.stderr.split("begin ")[1:], strict=True):
        told = [line for line in said.splitlines() if "a planted bug" in line]
        assert len(told) == 1, (name, said)
        assert "the program goes on" in told[0]
        with place.open(name) as view:
            if name != "flush":
                faults = [event.fields for event in view.events("fault")]
                assert any("a planted bug" in str(fault) for fault in faults), name
                traces = [fault["traceback"] for fault in faults if "a planted bug" in str(fault)]
                assert all("in broken" in trace for trace in traces), name
            if name != "status":
                assert view.status.state is RunState.FINISHED, name


@pytest.mark.parametrize("quiet", [False, True])
def test_a_failure_while_attaching_is_called_what_it_is(place, quiet):
    done = place.program(
        """
        import unbug.hooks.hub as m
        def broken(*args, **kwargs):
            raise AttributeError("a planted bug")
        m.Hub.install = broken
        import unbug
        with unbug.run():
            from training import *
            train(5)
        """,
        env={"UNBUG_QUIET": "1"} if quiet else {},
    )
    if quiet:
        assert done.stderr == ""
    else:
        assert done.stderr.count("watching torch failed and is switched off") == 1
        assert "torch could not be watched, so there is no training in this run" in done.stderr
        assert "did not import torch" not in done.stderr
    with place.open() as view:
        unseen = view.events("coverage")[-1].fields["unseen"]
        assert "torch could not be watched" in unseen
        assert "watching torch: AttributeError: a planted bug" in unseen
        assert "in broken" in view.events("fault")[0].fields["traceback"]


def test_strict_lets_it_through(place):
    program = """
        import unbug.record.recorder as m
        def broken(*args, **kwargs):
            raise AttributeError("a planted bug")
        m.Recorder.coverage = broken
        import unbug
        with unbug.run(strict=True):
            from training import *
            train(5)
    """
    assert "AttributeError: a planted bug" in place.program(program, code=1).stderr
