"""Data loaders deliver, generators are seeded, models are compiled."""

from __future__ import annotations

import random
import sys
import time
import weakref
from typing import Any

import torch

from unbug.hooks.shims import blocked
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED
from unbug.hooks.telling import Teller

__all__ = ["process_taps"]

_GUARD = "tracing, transforms"


def process_taps(teller: Teller) -> list[Spec]:
    """All taps that concern neither modules nor gradients nor optimizers."""
    return [*_loading(teller), *_seeding(teller), *_compiling(teller), *_swapping(teller)]


def _loading(teller: Teller) -> list[Spec]:
    here, tell = teller.here, teller.tell
    # Not a WeakKeyDictionary: it forgets by a function in Python, in which an interrupt would be lost.
    loaders: dict[weakref.ref[Any], weakref.ref[Any]] = {}

    def loader_of(iterator: Any) -> Any:
        known = loaders.get(weakref.ref(iterator))
        loader = None if known is None else known()
        return iterator if loader is None else loader

    def leave_iter(token: Any, value: Any, self: Any) -> None:
        if value is not RAISED:
            loaders[weakref.ref(value, loaders.pop)] = weakref.ref(self)

    def enter_next(self: Any) -> tuple[int, int]:
        depth = here.batch
        if depth or here.busy or (teller.dozing and teller.nap is None) or blocked():
            here.batch = depth + 1
            return depth, -1
        here.batch = 1
        try:
            if not teller.dozing:
                tell("batch_begin", loader_of(self))
            return 0, time.perf_counter_ns()
        except BaseException:
            here.batch = 0
            raise

    def leave_next(token: tuple[int, int] | None, value: Any, self: Any) -> None:
        if token is None:
            return
        here.batch, begun = token
        if begun < 0:
            return
        wait_s = (time.perf_counter_ns() - begun) / 1e9
        nap = teller.nap
        if nap is not None and value is not RAISED and torch.is_grad_enabled():
            try:
                nap.batch(value, wait_s)
            except Exception as error:
                teller.nap_failed(error)
        if teller.dozing:
            return
        if value is not RAISED:
            tell("batch_end", loader_of(self), value, wait_s)
        elif sys.exc_info()[0] is StopIteration:
            tell("batch_end", loader_of(self), None, wait_s)

    return [
        Spec(
            name="torch.utils.data.DataLoader.__iter__",
            what="which loader an iterator belongs to",
            guard="none",
            enter=_enter_nothing,
            leave=leave_iter,
            leave_names=("self",),
        ),
        Spec(
            name="torch.utils.data.dataloader._BaseDataLoaderIter.__next__",
            what="batches, and how long the program waited for them",
            guard=f"{_GUARD}, loaders inside a loader",
            enter=enter_next,
            leave=leave_next,
            enter_names=("self",),
            leave_names=("self",),
        ),
    ]


def _enter_nothing() -> bool:
    return True


def _seeding(teller: Teller) -> list[Spec]:
    def leave_torch(token: Any, value: Any) -> None:
        if value is not RAISED and not teller.quiet():
            teller.tell("seeded", "torch", torch.initial_seed())

    def enter_python(a: Any) -> tuple[int | None]:
        return (
            a if isinstance(a, int) else None,
        )  # as given: the function puts a number of its own in its place

    def leave_python(token: tuple[int | None] | None, value: Any, self: Any) -> None:
        if token is None or value is RAISED or self is not _python_generator() or teller.quiet():
            return
        teller.tell("seeded", "python", token[0])

    return [
        Spec(
            name="torch.manual_seed",
            what="torch was seeded",
            guard=_GUARD,
            enter=_enter_nothing,
            leave=leave_torch,
        ),
        Spec(
            name="random.Random.seed",
            what="python's generator was seeded",
            guard=f"{_GUARD}, generators of the program's own",
            enter=enter_python,
            leave=leave_python,
            enter_names=("a",),
            leave_names=("self",),
        ),
        Spec(
            name="numpy.random.seed",
            what="numpy was seeded",
            guard=_GUARD,
            refused="it is not written in Python; its state can be read when the training begins",
        ),
    ]


def _python_generator() -> Any:
    return getattr(random.seed, "__self__", None)


def _compiling(teller: Teller) -> list[Spec]:
    here = teller.here

    def enter(what: Any) -> int:
        depth = here.compile
        here.compile = depth + 1
        try:
            if depth == 0 and what is not None and not teller.quiet():
                teller.tell("compiled", _describe(what))
        except BaseException:
            here.compile = depth
            raise
        return depth

    def leave(depth: int | None, value: Any) -> None:
        if depth is not None:
            here.compile = depth

    return [
        Spec(
            name=name,
            what="what was asked to be compiled",
            guard=f"{_GUARD}, compiling inside compiling",
            enter=enter,
            leave=leave,
            enter_names=(parameter,),
        )
        for name, parameter in (("torch.compile", "model"), ("torch.nn.Module.compile", "self"))
    ]


def _describe(what: Any) -> str:
    return str(getattr(what, "__qualname__", type(what).__qualname__))


def _swapping(teller: Teller) -> list[Spec]:
    def enter(t1: Any, t2: Any) -> tuple[Any, Any]:
        teller.tell("swapping", (t1, t2))
        return t1, t2

    def leave(tensors: tuple[Any, Any] | None, value: Any) -> None:
        if tensors is not None:
            teller.tell("swapped", tensors)

    return [
        Spec(
            name="torch.utils.swap_tensors",
            what="two tensors are about to be swapped, which torch refuses to do with one referred to weakly",
            guard="none",
            enter=enter,
            leave=leave,
            enter_names=("t1", "t2"),
        )
    ]
