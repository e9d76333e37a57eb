"""What the program set: seeds, precision, compilation, optimizers, train and eval mode."""

from __future__ import annotations

import numbers
from typing import Any

import torch

from unbug.hooks import user_frame
from unbug.record.chance import Chance
from unbug.record.core import Core
from unbug.record.reseeding import Reseeding
from unbug.record.roots import Root
from unbug.record.trainings import OptimizerState
from unbug.record.watched import Watched

__all__ = ["SettingsSeen"]

_MODE_DEPENDENT = ("Dropout", "BatchNorm", "InstanceNorm", "DropPath", "AlphaDropout", "SyncBatchNorm")
_MOST_LISTED = 40
_MOST_OPTIMIZERS = 200

_SMALL = 2**32


class SettingsSeen:
    """Writes `seeds`, `precision`, `compile`, `optimizer` and `mode` events."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seeds: dict[str, int | None] = {}
        self._seed_calls = 0
        self._reseeding = Reseeding(core)
        self._chance = Chance()
        self._precision: tuple[Any, ...] | None = None
        self._scale = 0.0
        self._modes: dict[tuple[int, bool, bool], dict[str, Any]] = {}
        self._told: set[int] = set()
        self.compiled: list[str] = []

    def seeded(self, generator: str, seed: int | None) -> None:
        """A generator was seeded."""
        self._reseeding.seeded(generator, seed)
        self._seed_calls += 1
        known = self._seeds.get(generator, -1)
        self._seeds[generator] = seed
        if known == -1 or (known != seed and self._seed_calls <= 100):
            self._core.event("seeds", self._determinism())

    def _determinism(self) -> dict[str, Any]:
        return {
            **self._seeds,
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "threads": torch.get_num_threads(),
        }

    def begun(self) -> None:
        """The first training begins: say what is known, also if nothing was seeded."""
        seeded = {*self._seeds, *(("torch",) if _was_seeded() else ())}
        self._core.event("seeds", {**self._determinism(), "seeded": sorted(seeded)})

    def close(self) -> None:
        """The program is over: tell what was drawn by chance that nobody fixed."""
        if self._core.trainings.all:
            self._core.event("drawn", self._chance.fields(self._seeds), training=0)

    def compile(self, what: str) -> None:
        """`torch.compile` was asked for."""
        self.compiled.append(what)
        if len(self.compiled) <= 50:
            self._core.event("compile", {"what": what})

    def autocast(self, device: str) -> None:
        """A forward begins: has autocast changed?"""
        on = torch.is_autocast_enabled(device)
        if not on and self._precision is not None and self._precision[:2] == (device, False):
            return
        found = (device, on, str(torch.get_autocast_dtype(device)) if on else "")
        if found != self._precision:
            first = self._precision is None
            self._precision = found
            if on or not first:
                self._core.event(
                    "precision",
                    {"autocast": on, "device": device, "dtype": found[2].removeprefix("torch.")},
                )

    def scaler(self, scale: float, skipped: bool) -> None:
        """GradScaler stepped: tell of it once, and whenever it shrinks."""
        if not self._scale or scale < self._scale:
            self._core.event("precision", {"scaler": True, "scale": scale, "skipped": skipped})
        self._scale = scale

    def optimizer(self, state: OptimizerState, watched: Watched) -> None:
        """An optimizer belongs to a training now."""
        optimizer = state.ref()
        if optimizer is None or state.order in self._told or len(self._told) >= _MOST_OPTIMIZERS:
            return
        self._told.add(state.order)
        groups = [
            {
                "parameters": len(group["params"]),
                "elements": sum(one.numel() for one in group["params"]),
                **{key: _plain(value) for key, value in group.items() if key != "params"},
            }
            for group in optimizer.param_groups[:100]
        ]
        kind = type(optimizer)
        frame = state.frame
        self._core.event(
            "optimizer",
            {
                "class": f"{kind.__module__}.{kind.__qualname__}",
                "groups": groups,
                "group_count": len(optimizer.param_groups),
                "primary": watched.training.primary is state,
                "file": frame.file if frame is not None else "",
                "line": frame.line if frame is not None else 0,
            },
            training=watched.training.number,
            step=watched.training.steps,
        )

    def mode(self, root: Root, module: torch.nn.Module, *, grad: bool) -> None:
        """A root runs in a combination of train or eval mode and grad mode that was not seen before."""
        others = [(path, child.training) for path, child in module.named_modules() if _depends_on_mode(child)]
        training = [path for path, on in others if on]
        evaluating = [path for path, on in others if not on]
        frame = user_frame()
        self._core.event(
            "mode",
            {
                "module": root.class_name,
                "training": module.training,
                "grad": grad,
                "mode_dependent": len(others),
                "in_train_mode": training[:_MOST_LISTED],
                "in_train_mode_count": len(training),
                "in_eval_mode": evaluating[:_MOST_LISTED],
                "in_eval_mode_count": len(evaluating),
                "file": frame.file if frame is not None else "",
                "line": frame.line if frame is not None else 0,
            },
        )


def _depends_on_mode(module: torch.nn.Module) -> bool:
    """Whether a layer acts otherwise in training than in evaluation, as it is set up."""
    name = type(module).__name__
    if isinstance(module, torch.nn.RNNBase):
        return bool(module.dropout > 0 and module.num_layers > 1)
    if isinstance(module, torch.nn.MultiheadAttention):
        return bool(module.dropout > 0)
    if not any(one in name for one in _MODE_DEPENDENT):
        return False
    rate = getattr(module, "p", None)
    if "Drop" in name and isinstance(rate, int | float):
        return rate > 0
    return not ("Norm" in name and getattr(module, "track_running_stats", None) is False)


def _plain(value: Any) -> Any:
    """A value as JSON has it; tensors by shape, what is unknown by its class."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Number) and not isinstance(value, complex):
        return value
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 and value.device.type == "cpu" else list(value.shape)
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value[:20]]
    return type(value).__name__


def _was_seeded() -> bool:
    """Whether torch's generator was given a seed: also where that was in an earlier cell of a notebook, which
    nobody watched. One that nobody gave is of 64 random bits, one that a person gave is small."""
    return bool(torch.initial_seed() < _SMALL)
