"""Cheap experiments on copies of a model, while it lives, that decide between hypotheses. One file each."""

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.running import Asked, run_probes
from unbug.checks.probes.subject import Subject

__all__ = ["Asked", "Clock", "NotPossible", "Subject", "run_probes"]
