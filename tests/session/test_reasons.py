"""Why a program ended: what is known is said, what is only likely is called so."""

from __future__ import annotations

import pytest

from unbug.session.ending import Ending
from unbug.session.reasons import oom_kills, reason_of
from unbug.types import RunState

FAILED, KILLED = RunState.FAILED, RunState.KILLED
SLURM = {"SLURM_JOB_ID": "7"}
CASES = {
    "finished": (Ending(state=RunState.FINISHED), {}, "finished"),
    "cuda": (
        Ending(
            state=FAILED, exit_code=1, error="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"
        ),
        {},
        "out-of-memory",
    ),
    "old cuda": (
        Ending(state=FAILED, exit_code=1, error="RuntimeError: CUDA error: out of memory"),
        {},
        "out-of-memory",
    ),
    "python": (Ending(state=FAILED, exit_code=1, error="MemoryError"), {}, "out-of-memory"),
    "torch on the host": (
        Ending(
            state=FAILED,
            exit_code=1,
            error="RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't "
            "allocate memory: you tried to allocate 400000000000000 bytes.",
        ),
        {},
        "out-of-memory",
    ),
    "a name of the program's": (
        Ending(state=FAILED, exit_code=1, error="ValueError: MemoryErrors are counted elsewhere"),
        {},
        "failed",
    ),
    "the kernel": (Ending(state=FAILED, exit_code=1), {"kills": 1}, "out-of-memory"),
    "a full machine": (
        Ending(state=KILLED, exit_code=137, signals=("SIGKILL",)),
        {"least_free_share": 0.01},
        "out-of-memory",
    ),
    "killed": (Ending(state=KILLED, exit_code=137, signals=("SIGKILL",)), {}, "killed"),
    "preempted": (
        Ending(state=KILLED, exit_code=143, signals=("SIGTERM",)),
        {"environment": SLURM},
        "preempted",
    ),
    "asked to save first": (
        Ending(state=FAILED, exit_code=3, signals=("SIGUSR1",)),
        {"environment": SLURM},
        "preempted",
    ),
    "torchrun": (
        Ending(
            state=FAILED,
            exit_code=1,
            error="torch.distributed.elastic.multiprocessing.api.SignalException: Process 7 got signal: 15",
        ),
        {"environment": SLURM},
        "preempted",
    ),
    "terminated": (Ending(state=KILLED, exit_code=143, signals=("SIGTERM",)), {}, "killed"),
    "a signal that was survived": (
        Ending(state=RunState.FINISHED, signals=("SIGUSR1",)),
        {"environment": SLURM},
        "finished",
    ),
    "interrupted": (Ending(state=RunState.INTERRUPTED, exit_code=130), {}, "interrupted"),
    "failed": (Ending(state=FAILED, exit_code=1, error="ValueError: x"), {}, "failed"),
}


@pytest.mark.parametrize(("ending", "known", "kind"), CASES.values(), ids=CASES)
def test_reasons(ending, known, kind):
    found = reason_of(ending, **{"environment": {}, **known})
    assert found.kind == kind
    assert found.sure is ("least_free_share" not in known)
    assert bool(found.text) is (kind != "finished")


@pytest.mark.parametrize(
    ("cgroup", "file", "text", "kills"),
    [
        ("0::/job/step", "sys/fs/cgroup/job/step/memory.events", "low 0\nmax 3\noom 2\noom_kill 1\n", 1),
        (
            "5:cpu:/\n4:memory:/job",
            "sys/fs/cgroup/memory/job/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            4,
        ),
        ("0::/job", "sys/fs/cgroup/job/memory.events", "low 0\n", None),
        ("0::/job", "elsewhere", "", None),
    ],
)
def test_the_counter_of_the_control_group(tmp_path, cgroup, file, text, kills):
    for name, content in (("proc/self/cgroup", cgroup + "\n"), (file, text)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert oom_kills(tmp_path) == kills


def test_a_real_lack_of_memory_is_in_the_run(place):
    place.recorded("from training import *\ntrain(5)\ntorch.empty(10**15)", options=("--quiet",), code=1)
    with place.open() as view:
        (end,) = view.events("end")
        assert end.fields["reason"] == "out-of-memory"
        assert view.status.message.startswith("out of memory: RuntimeError: [enforce fail")
    place.write("from training import *\ntrain(5)\ntorch.empty(10**15)", "one.py")
    import sys

    place.python("-m", "unbug", "run", "--quiet", "--", sys.executable, "one.py", code=1)
    with place.open() as view:
        assert view.status.message.startswith("out of memory: RuntimeError: [enforce fail")
