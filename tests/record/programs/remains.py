"""Records a training through `unbug.run()` in this process and tells, as JSON, what is left of it afterwards.

`remains.py FOLDER success|exception|interrupt`; not one of the programs that are run bare.
"""

import gc
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import types
import warnings
import weakref
from pathlib import Path

import numpy
import torch
import torch._dynamo
from torch import nn

MODULES = (
    "torch",
    "numpy.random",
    "random",
    "threading",
    "signal",
    "multiprocessing",
    "subprocess",
    "os",
    "warnings",
)


def functions():
    """Code of every function there is, by identity."""
    return {id(one): (one, one.__code__) for one in gc.get_objects() if type(one) is types.FunctionType}


def foreign(code):
    """Whether code has a callable among its constants, which no compiler puts there."""
    return any(foreign(one) if isinstance(one, types.CodeType) else callable(one) for one in code.co_consts)


def names():
    """What every name in the modules, and in their classes, is bound to."""
    found = {}
    for module, there in list(sys.modules.items()):
        if module.split(".")[0] not in MODULES and module not in MODULES:
            continue
        for name, value in list(vars(there).items()):
            if callable(value):
                found[f"{module}.{name}"] = id(value)
            if issubclass(type(value), type) and value.__module__ == module:
                own = list(vars(value).items())
                found.update((f"{module}.{name}.{key}", id(one)) for key, one in own if callable(one))
    return found


def hooks(net, optimizer):
    """Every place where torch keeps hooks."""
    found = {}
    for module in ("torch.nn.modules.module", "torch.optim.optimizer"):
        for name, value in vars(sys.modules[module]).items():
            if name.startswith("_global_") and isinstance(value, dict):
                found[name] = len(value)
    for place, one in (*net.named_modules(), ("optimizer", optimizer)):
        for key, value in vars(one).items():
            if "hooks" in key:
                found[f"{place} {key}"] = len(value)
    for place, one in net.named_parameters():
        found[place] = [one._backward_hooks, getattr(one, "_post_accumulate_grad_hooks", None)]
    found["modes"] = [torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()]
    return found


def of_process():
    """What a program could find changed in its process."""
    files = (f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd"))
    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    return {
        "threads": sorted(os.listdir("/proc/self/task")),
        "threads of threading": [one.name for one in threading.enumerate()],
        "files": sorted(os.readlink(one) for one in files if os.path.exists(one)),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "streams": [id(sys.stdout), id(sys.stderr), id(sys.stdin)],
        "hooks of sys": [id(one) for one in (sys.excepthook, sys.unraisablehook, threading.excepthook)],
        "tracing": [sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()],
        "finders": [id(one) for one in (*sys.meta_path, *sys.path_hooks)],
        "path": list(sys.path),
        "argv": [*sys.argv, *sys.orig_argv],
        "signals": [(one, repr(signal.getsignal(one))) for one in handled],
        "environment": sorted(os.environ.items()),
        "warnings": [id(warnings.showwarning), id(warnings._showwarnmsg_impl), repr(warnings.filters)],
        "logging": [repr(logging.root.handlers), repr(logging.getLogger("torch").handlers)],
        "collector": [len(gc.callbacks), gc.get_threshold(), gc.isenabled()],
        "folder": os.getcwd(),
        "interpreter": [sys.getrecursionlimit(), sys.getswitchinterval()],
    }


def of_torch():
    """Modes and generators."""
    return {
        "random": [hash(random.getstate()), hash(numpy.random.get_state()[1].tobytes())],
        "random of torch": hash(torch.get_rng_state().numpy().tobytes()),
        "grad": [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()],
        "threads of torch": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "default": [repr(torch.get_default_dtype()), torch.are_deterministic_algorithms_enabled()],
        "autocast": torch.is_autocast_enabled("cpu"),
    }


def state(net, optimizer):
    """All of it."""
    attributes = [sorted(vars(one)) for one in (*net.modules(), *net.parameters(), optimizer)]
    return {"hooks": hooks(net, optimizer), "attributes": attributes, **of_process(), **of_torch()}


class Failed(Exception):
    pass


def train(net, optimizer, generator, steps=40):
    for _ in range(steps):
        x = torch.randn(16, 8, generator=generator)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), x[:, :2])
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()


def make():
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    return net, torch.optim.Adam(net.parameters())


def main(folder, ending):
    import unbug

    generator = torch.Generator().manual_seed(0)
    net, optimizer = make()
    train(net, optimizer, generator)  # what torch makes at its first step is there now
    gc.collect()
    known, bound, before = functions(), names(), state(net, optimizer)
    during = 0
    try:
        with unbug.run(dir=folder, quiet=True, strict=True) as run:
            with torch.random.fork_rng():
                inner, inner_optimizer = make()
            train(inner, inner_optimizer, generator)
            train(net, optimizer, generator)
            during = sum(one.__code__ is not code for one, code in known.values())
            if ending == "exception":
                raise Failed
            if ending == "interrupt":
                signal.raise_signal(signal.SIGINT)
    except (Failed, KeyboardInterrupt) as error:
        ended = type(error).__name__
        error.__traceback__ = None
    else:
        ended = "success"
    until = time.monotonic() + 1.0
    while sorted(os.listdir("/proc/self/task")) != before["threads"] and time.monotonic() < until:
        time.sleep(0.001)  # a thread that has said its last word is still there for an instant
    after = state(net, optimizer)
    rebound = [name for name, value in names().items() if bound.get(name, value) != value]
    changed = [one.__qualname__ for one, code in known.values() if one.__code__ is not code]
    later = [one.__qualname__ for one, code in functions().values() if foreign(code)]
    modules = [weakref.ref(one) for one in (inner, inner_optimizer, *inner.parameters())]
    del inner, inner_optimizer
    gc.collect()
    told = {
        "ended": ended,
        "changed_while_open": during,
        "functions_changed": changed,
        "functions_with_taps": later,
        "names_rebound": rebound,
        "state": {key: [before[key], after[key]] for key in before if before[key] != after[key]},
        "kept_alive": sum(one() is not None for one in modules),
        "run": str(run.path),
    }
    print(json.dumps(told, default=repr))


if __name__ == "__main__":
    main(*sys.argv[1:])
