"""Which finding explains which: a small table over the names of faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from unbug.types import Finding, Severity

__all__ = ["CAUSES", "link"]

_BROKEN = ("non-finite-loss", "non-finite-gradient", "non-finite-weight")
_STUCK = ("loss-not-falling",)

CAUSES: dict[str, tuple[str, ...]] = {
    "missing-zero-grad": ("exploding-gradient", "learning-rate-too-high", "dead-relu", *_STUCK, *_BROKEN),
    "zero-grad-before-step": ("weights-never-change", "no-gradient", *_STUCK),
    "learning-rate-too-high": ("dead-relu", "saturated-activation", *_STUCK, *_BROKEN),
    "exploding-gradient": ("learning-rate-too-high", "dead-relu", "saturated-activation", *_STUCK, *_BROKEN),
    "one-class-batches": ("exploding-gradient", "learning-rate-too-high", "dead-relu", *_STUCK, *_BROKEN),
    "stale-optimizer-parameters": ("parameters-outside-optimizer", "weights-never-change", *_STUCK),
    "parameters-outside-optimizer": _STUCK,
    "unregistered-parameter": _STUCK,
    "no-gradient": ("weights-never-change", *_STUCK),
    "constant-weights": ("dead-relu", "vanishing-gradient", "weights-never-change", *_STUCK),
    "vanishing-gradient": _STUCK,
    "saturated-activation": ("vanishing-gradient", *_STUCK),
    "dead-relu": ("weights-never-change", *_STUCK),
    "weights-never-change": _STUCK,
    "softmax-before-cross-entropy": ("vanishing-gradient", *_STUCK),
    "sigmoid-before-bce-with-logits": _STUCK,
    "broadcasting-loss": _STUCK,
    "gradient-clip-too-tight": _STUCK,
    "learning-rate-collapsed": ("weights-never-change", *_STUCK),
    "eval-mode-training": ("overfitting",),
    "kept-graphs": ("out-of-memory",),
    "hang": (),
    "non-finite-gradient": ("non-finite-weight", "non-finite-loss"),
    "non-finite-loss": ("non-finite-weight",),
    "non-finite-weight": (),
}
"""Name of a fault -> names of the faults that it brings about. No name leads back to itself."""


def link(findings: Iterable[Finding]) -> list[Finding]:
    """Fill in `caused_by` and `causes`.

    A cause is of the same training and held before its effect was known. A note is no cause. Of a chain only
    the nearest links are told: what causes a cause is not named for the effect again.
    """
    all_of_them = list(findings)
    pairs = {
        (cause.id, effect.id)
        for cause in all_of_them
        for effect in all_of_them
        if effect.name in CAUSES.get(cause.name, ())
        and cause.training == effect.training
        and cause.steps[0] <= effect.known_at
        and cause.severity is not Severity.NOTE
    }
    middle = {finding.id for finding in all_of_them}
    near = [
        (cause, effect)
        for cause, effect in sorted(pairs)
        if not any((cause, one) in pairs and (one, effect) in pairs for one in middle)
    ]
    return [
        replace(
            finding,
            caused_by=tuple(cause for cause, effect in near if effect == finding.id),
            causes=tuple(effect for cause, effect in near if cause == finding.id),
        )
        for finding in all_of_them
    ]
