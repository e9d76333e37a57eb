"""`unbug run -- COMMAND…`: the command cannot tell, and its Python processes are one run."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from unbug.types import RunState

TRAIN = """
import sys
from training import *
train(30)
"""


def both(place, *command, stdin="", quiet=True, env=None):
    """The end of a command without and with unbug."""
    ends = []
    for words in (command, (sys.executable, "-m", "unbug", "run", *["--quiet"] * quiet, "--", *command)):
        done = subprocess.run(
            words, cwd=place.folder, env=place.environment(**(env or {})), input=stdin, capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        ends.append((done.returncode, done.stdout, done.stderr))
    return ends


COMMANDS = {
    "true": ("true",),
    "a code": ("sh", "-c", "echo out; echo err >&2; exit 7"),
    "a signal": ("sh", "-c", "kill -KILL $$"),
    "aborts": (sys.executable, "-c", "import os; os.abort()"),
    "interrupted": ("sh", "-c", "kill -INT $$"),
    "a broken pipe": ("sh", "-c", "yes | head -1; trap - PIPE; kill -PIPE $$"),
    "stdin": ("sh", "-c", "cat; read x || echo at its end"),
    "a shell's words": ("sh", "-c", 'printf "<%s>" "$@"', "name", "a b", "", "--quiet", "ü"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_ends_and_speaks_as_without(place, command):
    bare, watched = both(place, *command, stdin="some text\n")
    assert watched == bare
    with place.open() as view:
        code = bare[0] if bare[0] >= 0 else 128 - bare[0]
        assert view.status.exit_code == code
        expected = {0: RunState.FINISHED, -2: RunState.INTERRUPTED}
        assert view.status.state is expected.get(bare[0], RunState.FAILED if code < 128 else RunState.KILLED)


def test_children_are_one_run_whatever_starts_them(place):
    place.write(TRAIN, "one.py")
    place.write("TARGETS := a b\nall: $(TARGETS)\n$(TARGETS):\n\t@$(PYTHON) one.py $@\n", "Makefile")
    bare, watched = both(place, "make", "-j2", f"PYTHON={sys.executable}")
    assert watched == bare
    with place.open() as view:
        assert view.run.name == "make"
        assert view.run.facts["program"] == ["make", "-j2", f"PYTHON={sys.executable}"]
        pids = {path.name.split("-")[2] for path in (view.path / "writers").iterdir()}
        assert len(pids) == 3  # this command's own, and the two that trained
        assert len(view.read("loss.value").values) == 60


def test_the_parent_speaks_and_loads_no_torch(place):
    place.write(TRAIN, "one.py")
    text = f"""
        import sys
        sys.argv = ["unbug"]
        from unbug.cli import main
        try:
            main(["run", "--fail-on", "error", "--", {sys.executable!r}, "one.py"])
        finally:
            print("torch" in sys.modules)
    """
    done = place.program(text, code=0)
    assert done.stdout == "False\n"
    assert "no findings" in done.stderr.lower() or "in 30 steps" in done.stderr
    with place.open() as view:
        assert view.run.name == "one"
        assert view.status.steps == 30
        assert view.status.trainings == 1


def test_fail_on_makes_the_code(place):
    place.write(
        """
        import torch
        from torch import nn
        x = torch.randn(64, 8); y = (x.sum(1) > 0).long()
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2), nn.Softmax(dim=1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(40):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        """,
        "wrong.py",
    )
    done = place.python("-m", "unbug", "run", "--fail-on", "error", "--", sys.executable, "wrong.py", code=3)
    assert "L101" in done.stderr


def test_nothing_that_trains_is_said_so(place):
    done = place.python("-m", "unbug", "run", "--", "sh", "-c", f"{sys.executable} -c 'print(6)'")
    assert done.stdout == "6\n"
    assert "no process of the command was seen to train" in done.stderr
    with place.open() as view:
        assert view.status.state is RunState.FINISHED
        assert [path.name[:6] for path in (view.path / "writers").iterdir()] == ["r00000"]


def test_no_such_command(place):
    for words, text in (
        (("--", "no-such-command"), "cannot run 'no-such-command': there is no such command"),
        (("--", "one.py"), "for a script say `unbug run one.py`"),
        (("--",), "unbug run [options] -- COMMAND…"),
    ):
        done = place.python("-m", "unbug", "run", *words, code=2)
        assert text in done.stderr
    assert not place.runs.exists()


def test_switched_off_the_command_takes_our_place(place):
    code = "import os; print(os.getpid(), 'UNBUG_RUN_PATH' in os.environ)"
    words = ("-m", "unbug", "run", "--", sys.executable, "-c", code)
    with place.start(*words, env={"UNBUG": "0"}) as child:
        out, _ = child.communicate(timeout=60)
    assert out == f"{child.pid} False\n"


HANDLES = """
import os, signal, sys, time
names = []
def note(number, frame):
    names.append(signal.Signals(number).name)
    print(names[-1], flush=True)
    if number == signal.SIGTERM:
        sys.exit(9)
for name in ("SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGTERM"):
    signal.signal(getattr(signal, name), note)
held = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
print("ready", signal.getsignal(signal.SIGPIPE).name, held, flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("under", [(), ("-m", "unbug", "run", "--quiet", "--", sys.executable)])
def test_signals_are_passed_on_once(place, under):
    with place.start(*under, place.write(HANDLES)) as child:
        assert child.stdout.readline() == "ready SIG_IGN []\n"
        for name in ("SIGUSR1", "SIGHUP", "SIGINT", "SIGUSR2", "SIGTERM"):
            child.send_signal(getattr(signal, name))
            assert child.stdout.readline() == f"{name}\n"
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (9, "", "")
    if under:
        with place.open() as view:
            (end,) = view.events("end")
            assert end.fields["signals"] == ["SIGUSR1", "SIGHUP", "SIGINT", "SIGUSR2", "SIGTERM"]


def in_terminal(place, words, keys):
    """What a terminal shows of a command, its keys pressed once it says that it is ready."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place.folder)
        os.execve(words[0], words, place.environment())
    shown = b""
    pressed = False
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        shown += data
        if not data:
            break
        if b"ready" in shown and not pressed:
            pressed = True
            time.sleep(0.3)
            os.write(terminal, keys)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()


def test_a_terminal_is_the_commands_and_ctrl_c_comes_once(place):
    place.write(
        textwrap.dedent(
            """
            import os, sys, time
            print([os.isatty(fd) for fd in (0, 1, 2)], os.tcgetpgrp(0) == os.getpgrp())
            print("ready", flush=True)
            count = 0
            while count < 20:
                try:
                    time.sleep(0.1)
                    count += 1
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
            """
        )
    )
    bare = in_terminal(place, [sys.executable, "program.py"], b"\x03")
    words = [sys.executable, "-m", "unbug", "run", "--quiet", "--", sys.executable, "program.py"]
    watched = in_terminal(place, words, b"\x03")
    assert watched == bare
    assert bare[1].count("interrupted") == 1
    assert "[True, True, True] True" in bare[1]
