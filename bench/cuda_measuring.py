"""One training on a CUDA device in this process; see `cuda.py`. Not part of `make bench`.

`cuda_measuring.py same|waits NAME bare|again|watched`, `cuda_measuring.py cost NAME SECONDS`.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from cost_measuring import Switch, noting_taps  # type: ignore[import-not-found]
from cuda_models import KINDS, build  # type: ignore[import-not-found]

__all__ = ["main"]

STEPS = {"mlp": 700, "small": 300, "resnet": 120, "gpt": 40}
WARM = {"mlp": 600, "small": 450, "resnet": 450, "gpt": 120}
BLOCK_S = 0.12
WAITING = ("Synchronize", "cudaMemcpy", "cudaFree", "cudaStreamQuery")
COUNTED = ("cudaHostAlloc", "cudaMalloc", "cudaEventQuery", "cudaEventRecord", "cudaLaunchKernel",
           "cudaMemcpyAsync", "cudaGraphLaunch")  # fmt: skip
_RESAMPLES = 4000


def same(name: str, turn: str) -> dict[str, Any]:
    """Losses and weights to the bit; watched under the debug mode where the program itself never waits."""
    torch.use_deterministic_algorithms(True)
    kind = KINDS[name]
    steps = STEPS[kind.model]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        session = _watched(folder) if turn == "watched" else None
        start_s = time.perf_counter() - start
        training = build(name)
        torch.cuda.synchronize()
        before = _bytes()
        quiet = not kind.waits and kind.form != "compiled"
        if quiet:
            torch.cuda.set_sync_debug_mode("error")
        losses = [training.step().detach().clone() for _ in range(steps)]
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        told = [one.item().hex() for one in losses]
        digest = hashlib.sha256(" ".join(told).encode())
        for tensor in training.net.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
        found = {
            "hash": digest.hexdigest(),
            "told": told,
            "made": steps,
            "start_s": start_s,
            "peak_mb": torch.cuda.max_memory_allocated() / 2**20,
            "reserved_mb": torch.cuda.max_memory_reserved() / 2**20,
            "device_mb": (_bytes() - before) / 2**20,
        }
        if session is not None:
            session.close()
            found |= _recorded(session.path)
    return found


def waits(name: str, turn: str) -> dict[str, Any]:
    """How often CUDA's calls were made, from the first step on."""
    from torch.profiler import ProfilerActivity, profile

    steps = {"mlp": 100, "small": 60, "resnet": 40, "gpt": 30}[KINDS[name].model]
    with tempfile.TemporaryDirectory() as folder:
        session = _watched(folder) if turn == "watched" else None
        training = build(name)
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            for _ in range(steps):
                training.step()
        counts = {one.key: one.count for one in seen.key_averages() if one.key.startswith(("cuda", "cu"))}
        if session is not None:
            session.close()
    waiting = {key: count for key, count in counts.items() if _waits(key)}
    rest = {key: count for key, count in counts.items() if key in COUNTED}
    return {"waiting": sum(waiting.values()), "by_call": waiting, "others": rest}


def _waits(call: str) -> bool:
    return any(word in call for word in WAITING) and not call.startswith(("cudaMemcpyAsync", "cudaFreeAsync"))


def cost(name: str, seconds: float) -> dict[str, Any]:
    """Blocks watched, bare and bare again, in turn."""
    training = build(name)
    step = training.step
    for _ in range(20):
        step()
    torch.cuda.synchronize()
    import unbug

    with tempfile.TemporaryDirectory() as folder, noting_taps() as taps:
        start = time.perf_counter()
        session = unbug.run(dir=folder, quiet=True)
        start_s = time.perf_counter() - start
        recorder: Any = session._recording.observer._recorder  # type: ignore[union-attr]
        core = recorder._core
        for _ in range(WARM[KINDS[name].model]):
            step()
        torch.cuda.synchronize()
        left_s, core.budget.allowance_ns = core.budget.allowance_ns / 1e9, 0
        switch = Switch(taps, recorder._course)
        switch.turn(on=False)
        _timed(step, 20)
        step_s = _timed(step, 20) / 20
        switch.turn(on=True)
        block = max(2, round(BLOCK_S / step_s))
        samples: dict[str, list[float]] = {"on": [], "off": [], "control": []}
        draw, until, accounted, slept, taken = random.Random(7), time.monotonic() + seconds, 0.0, 0, 0
        while time.monotonic() < until:
            for kind in draw.sample(list(samples), 3):
                switch.turn(on=kind == "on")
                before, before_slept = recorder.coverage()["accounted_s"], core.slept
                samples[kind].append(_timed(step, block))
                accounted += recorder.coverage()["accounted_s"] - before
                slept += core.slept - before_slept
                taken += block if kind == "on" else 0
        switch.turn(on=True)
        began, cpu = time.perf_counter(), time.process_time() - time.thread_time()
        while time.perf_counter() - began < 5:
            step()
        torch.cuda.synchronize()
        background = (time.process_time() - time.thread_time() - cpu) / (time.perf_counter() - began)
        session.close()
        told = _recorded(session.path)
    return {
        "pairs": len(samples["off"]),
        "block": block,
        "step_ms": 1e3 * sorted(samples["off"])[len(samples["off"]) // 2] / block,
        "on": _ratio(samples, "on"),
        "control": _ratio(samples, "control"),
        "accounted_share": accounted / sum(samples["on"]),
        "asleep_share": slept / max(taken, 1),
        "background_share": background,
        "allowance_left_s": left_s,
        "start_s": start_s,
        **told,
    }


def _timed(step: Any, count: int) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        step()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _ratio(samples: dict[str, list[float]], kind: str) -> dict[str, float]:
    import numpy as np

    blocks = {key: np.array(value) for key, value in samples.items()}
    each = blocks[kind] / blocks["off"]
    picks = np.random.default_rng(11).integers(0, len(each), (_RESAMPLES, len(each)))
    low, high = np.percentile(np.median(each[picks], axis=1), (2.5, 97.5))
    total = blocks[kind].sum() / blocks["off"].sum()
    return {"median": float(np.median(each)), "low": float(low), "high": float(high), "all": float(total)}


def _watched(folder: str) -> Any:
    import unbug

    return unbug.run(dir=folder, quiet=True)


def _bytes() -> int:
    """Of the device, in use by all."""
    free, total = torch.cuda.mem_get_info()
    return total - free


def _recorded(path: Path | None) -> dict[str, Any]:
    """What the run holds: steps, losses, faults of unbug's own, what could not be seen."""
    from unbug.store import open_reader

    assert path is not None
    reader = open_reader(path)
    try:
        covered = [one for event in reader.events("coverage") for one in event.fields["trainings"]]
        values = [reader.read(one).values for one in reader.find(name="loss.value", origin="auto")]
        fields = dict(reader.events("coverage")[-1].fields)
        return {
            "faults": [dict(event.fields).get("error") for event in reader.events("fault")],
            "steps": sum(one["steps"] for one in covered),
            "losses": sum(len(one) for one in values),
            "notes": fields.get("notes"),
            "unseen": fields.get("unseen"),
            "cost": fields.get("measured_cost"),
        }
    finally:
        reader.close()


def main(words: Sequence[str]) -> int:
    """Print one line of JSON."""
    part, name, how = words
    found = {"same": same, "waits": waits}[part](name, how) if part != "cost" else cost(name, float(how))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
