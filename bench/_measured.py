"""Run one program and tell what it was: `python -I -S _measured.py FOLDER COMMAND…`.

A process of its own, and a small one: Linux counts the size of a process that starts another as part of
the other's peak, and whom a program leaves behind is only given to a parent that asked for orphans.
In FOLDER: `cwd/` is where the program runs, `stdout` and `stderr` are what it printed, `outcome.json` is
the rest.
"""

# ruff: noqa: PTH102, PTH123
# pathlib would make it larger

import ctypes
import json
import os
import signal
import sys
import time

GRACE_S = 2.0
PR_SET_CHILD_SUBREAPER = 36


def left_behind():
    """Names of processes that outlive the program; they are ended."""
    left, until = [], time.monotonic() + GRACE_S
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return left
        if pid:
            continue
        if time.monotonic() > until:
            break
        time.sleep(0.01)
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        for pid in file.read().split():
            with open(f"/proc/{pid}/cmdline") as line:
                left.append(line.read().replace("\0", " ").strip())
            os.kill(int(pid), signal.SIGKILL)
    return left


def main(folder, command):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
        os.closerange(3, 64)
        os.mkdir(f"{folder}/cwd")
        os.chdir(f"{folder}/cwd")
        os.execv(command[0], command)
    _, status, usage = os.wait4(child, 0)
    outcome = {
        "status": os.waitstatus_to_exitcode(status),
        "wall_s": time.monotonic() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "left_behind": left_behind(),
    }
    with open(f"{folder}/outcome.json", "w") as file:
        json.dump(outcome, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
