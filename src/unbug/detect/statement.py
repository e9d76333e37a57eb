"""What a rule states; the engine completes it to a `unbug.types.Finding`."""

from __future__ import annotations

from dataclasses import dataclass

from unbug.types import Evidence, Severity, Source

__all__ = ["Finding"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault at one place. What is None or empty is taken from the rule's declaration or from the evidence.

    Args:
        place: Path of the place, or one of `data`, `loss`, `optimizer`, `loop`.
        message: One sentence with the measured number, its unit and the threshold; only what was known then.
        advice: What to change, as an order: `lower the learning rate`.
        steps: First and last step at which it holds; those of the evidence if left out.
        known_at: Step at which it could first be known; the last step of the evidence if left out.
        severity, confidence, diagnoses: Where this case differs from the rule's own.
        weight: Which of several places is worst: the largest.
        source: The line of the user's program, where the rule knows it; else the engine looks for it.
    """

    place: str
    message: str
    advice: str
    evidence: tuple[Evidence, ...] = ()
    steps: tuple[int, int] | None = None
    known_at: int | None = None
    severity: Severity | None = None
    confidence: float | None = None
    diagnoses: tuple[str, ...] | None = None
    weight: float = 0.0
    source: Source | None = None
