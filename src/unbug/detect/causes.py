"""What brings about what: a table over classes of the fault vocabulary, so that a new rule needs no entry.

A rule whose fault does more than its class says so itself: `detector(…, explains=("dead-relu",))`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from unbug.types import Finding

__all__ = ["AT_ODDS", "CAUSES", "SYMPTOMS", "brings_about", "grows"]

SYMPTOMS = frozenset(
    {
        "loss-not-falling",
        "weights-never-change",
        "no-gradient",
        "non-finite-gradient",
        "non-finite-loss",
        "non-finite-weight",
        "out-of-memory",
        "hang",
    }
)
"""Names of findings that say what happens, not why: the table leads to them by name. All others are led to by
their first class."""

_NAN = ("non-finite-gradient", "non-finite-loss", "non-finite-weight")
_IDLE = ("loss-not-falling", "underfitting", "class-imbalance")
_STILL = ("weights-never-change", "lr-too-low", *_IDLE)
_WILD = ("exploding-gradient", "lr-too-high", "saturated-activation", "dead-relu", *_IDLE, *_NAN)
_WORSE = ("overfitting", "metric-bug")

CAUSES: Mapping[str, tuple[str, ...]] = {
    # optimisation
    "lr-too-high": ("saturated-activation", "dead-relu", *_IDLE, *_NAN),
    "lr-too-low": ("weights-never-change", *_IDLE),
    "lr-schedule": (*_STILL, "lr-too-high", *_WILD),
    "momentum-too-high": _WILD,
    "weight-decay-too-strong": ("vanishing-gradient", "dead-relu", *_IDLE),
    "grad-clip-too-tight": _STILL,
    "grad-accum-unscaled": _WILD,
    "loss-reduction": ("grad-clip-too-tight", *_WILD),
    "optimizer-state-reset": ("loss-not-falling", "lr-too-high"),
    # signal propagation
    "vanishing-gradient": _STILL,
    "exploding-gradient": ("grad-clip-too-tight", *_WILD[1:]),
    "dead-relu": ("vanishing-gradient", *_STILL),
    "saturated-activation": ("vanishing-gradient", *_STILL),
    "bad-init": ("vanishing-gradient", "weights-never-change", *_WILD),
    "low-precision": ("vanishing-gradient", *_STILL, *_NAN),
    "numeric-unsafe-op": _NAN,
    "nan-masked": ("numeric-unsafe-op", *_STILL, *_NAN),
    # training loop
    "missing-zero-grad": ("grad-accum-unscaled", "momentum-too-high", *_WILD),
    "zero-grad-misplaced": ("no-gradient", "missing-optimizer-step", *_STILL),
    "missing-optimizer-step": ("ema-not-updated", *_STILL),
    "params-not-in-optimizer": _STILL,
    "unregistered-parameter": ("params-not-in-optimizer", *_STILL),
    "detached-graph": ("no-gradient", "missing-optimizer-step", "params-not-in-optimizer", *_STILL),
    "frozen-by-mistake": ("no-gradient", "params-not-in-optimizer", *_STILL),
    "eval-mode-training": _WORSE,
    "train-mode-eval": ("metric-bug",),
    "repeated-batch": ("overfitting",),
    "exhausted-iterator": ("repeated-batch", "lr-schedule", "missing-optimizer-step", *_STILL),
    "memory-leak": ("out-of-memory", "hang"),
    "weights-not-loaded": ("loss-not-falling", "underfitting"),
    # loss and output
    "softmax-before-ce": (
        "output-activation-mismatch",
        "vanishing-gradient",
        "saturated-activation",
        *_STILL,
    ),
    "double-sigmoid": ("output-activation-mismatch", "vanishing-gradient", "saturated-activation", *_STILL),
    "wrong-loss": ("metric-bug", "vanishing-gradient", *_STILL),
    "loss-broadcast": ("wrong-loss", "misaligned-labels", "metric-bug", *_STILL),
    "padding-in-loss": ("class-imbalance", "metric-bug", "loss-not-falling"),
    "loss-term-imbalance": _STILL,
    "output-activation-mismatch": (
        "saturated-activation",
        "vanishing-gradient",
        "dead-relu",
        *_STILL,
    ),
    # data
    "unnormalized-input": ("grad-clip-too-tight", "vanishing-gradient", *_WILD),
    "unnormalized-target": ("grad-clip-too-tight", "lr-too-low", *_WILD),
    "nonfinite-data": _NAN,
    "misaligned-labels": ("label-noise", *_WORSE, *_IDLE),
    "label-noise": ("overfitting", *_IDLE),
    "degenerate-input": ("dead-relu", "vanishing-gradient", "misaligned-labels", "label-noise", *_IDLE),
    "target-leak": _WORSE,
    "train-test-skew": _WORSE,
    "class-imbalance": ("loss-not-falling", "metric-bug"),
    "unshuffled-data": ("repeated-batch", "overfitting", *_WILD),
    # architecture
    "dropout-too-strong": ("dead-relu", *_IDLE),
    "batchnorm-misuse": ("train-mode-eval", *_WORSE, *_NAN),
    "wrong-dim": ("misaligned-labels", "metric-bug", "vanishing-gradient", *_STILL),
    "shape-mixup": ("misaligned-labels", "label-noise", "overfitting", *_IDLE),
    "missing-nonlinearity": _IDLE,
    "causal-mask-leak": _WORSE,
    "missing-positional-encoding": _IDLE,
    "tied-weights-broken": ("params-not-in-optimizer",),
    "accidental-weight-sharing": _IDLE,
    "underfitting": ("loss-not-falling",),
    # between symptoms
    "non-finite-gradient": ("non-finite-weight", "non-finite-loss"),
    "non-finite-loss": ("non-finite-weight",),
    "no-gradient": ("missing-optimizer-step", *_STILL),
    "weights-never-change": _IDLE,
}
"""Class of a cause (or name of a symptom) -> first classes of findings, and names of symptoms, that it brings
about."""

AT_ODDS = (
    frozenset({"lr-too-high", "lr-too-low"}),
    frozenset({"exploding-gradient", "vanishing-gradient"}),
    frozenset({"overfitting", "underfitting"}),
)
"""Classes that cannot both be what is wrong with one training at one time."""


def brings_about(cause: Finding, effect: Finding, *, explains: tuple[str, ...] = ()) -> bool:
    """Whether the table, or what the rule of the cause says of itself, leads from one to the other.

    Args:
        explains: Names of faults and classes, as the rule declares them.
    """
    kind = _kind(effect)
    if effect.name in explains or kind in explains:
        return True
    if kind == _kind(cause):
        return False
    return kind in CAUSES.get(_kind(cause), ())


def _kind(finding: Finding) -> str:
    """What a finding is in the table: its name if that is a symptom's, else its first class."""
    if finding.name in SYMPTOMS or not finding.diagnoses:
        return str(finding.name)
    return finding.diagnoses[0]


def grows(finding: Finding) -> bool:
    """Whether the fault comes up in the course of a training, so that it explains nothing before it came;
    the others are in the program from the start, whenever they were seen."""
    return _kind(finding) in SYMPTOMS or bool({*finding.diagnoses[:1]} & _dynamic())


@cache
def _dynamic() -> frozenset[str]:
    text = resources.files("unbug.detect").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    sections = tomllib.loads(text)
    return frozenset({*sections["optimisation"], *sections["signal-propagation"]}) - {"bad-init"}
