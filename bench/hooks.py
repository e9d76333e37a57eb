"""What the hub costs a call, with a listener that does nothing, and what putting it in place costs.

Each figure is CPU time, the median over rounds of a call with the hub less the same call without it,
measured in turn. One thread and tiny tensors, so that the call itself hides nothing.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from bars import at_most
from torch import nn

from unbug.hooks import Hub

ROUNDS = 15
CALLS = 300


class Nobody:
    """A listener with every method, all of them empty."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)

        def nothing(*_: Any) -> None: ...

        setattr(self, name, nothing)
        return nothing


def call_ns(call: Callable[[], Any]) -> float:
    """Nanoseconds of one call, over many."""
    began = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - began) / CALLS


def added_ns(call: Callable[[], Any], *, watch_modules: bool = False) -> float:
    """What the hub adds to one call."""
    call_ns(call)
    differences = []
    for _ in range(ROUNDS):
        bare = call_ns(call)
        hub = Hub(Nobody())
        hub.watch_modules = watch_modules
        hub.install()
        call()
        differences.append(call_ns(call) - bare)
        hub.remove()
    return statistics.median(differences)


def main() -> None:
    """Measure and state."""
    torch.set_num_threads(1)
    gc.disable()
    flat = nn.Identity()
    deep = nn.Sequential(*(nn.Identity() for _ in range(100)))
    x = torch.zeros(1, 2)
    y = torch.zeros(1, dtype=torch.long)
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    twig = torch.zeros(1, requires_grad=True).sum()
    root = added_ns(lambda: flat(x)) / 1e3
    inner = (added_ns(lambda: deep(x)) / 1e3 - root) / 100
    watched = (added_ns(lambda: deep(x), watch_modules=True) / 1e3 - root) / 100
    at_most("a root module's call", root, 12, unit="µs", note="two calls of the listener")
    at_most("an inner module's call", inner, 1, unit="µs", note="not watched now")
    at_most("an inner module's call, watched", watched, 6, unit="µs", note="one call of the listener")
    at_most(
        "a loss call", added_ns(lambda: F.cross_entropy(x, y)) / 1e3, 15, unit="µs", note="with its frame"
    )
    at_most("backward", added_ns(lambda: twig.backward(retain_graph=True)) / 1e3, 15, unit="µs", note="")
    at_most("an optimizer's step", added_ns(optimizer.step) / 1e3, 12, unit="µs", note="")
    at_most("zero_grad", added_ns(optimizer.zero_grad) / 1e3, 8, unit="µs", note="")
    began = time.thread_time()
    hub = Hub(Nobody())
    hub.install()
    installed = time.thread_time() - began
    began = time.thread_time()
    hub.remove()
    at_most("install", installed * 1e3, 300, unit="ms", note="with a scan for living optimizers")
    at_most("remove", (time.thread_time() - began) * 1e3, 20, unit="ms", note="")


if __name__ == "__main__":
    main()
