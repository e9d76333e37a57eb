"""Cheap experiments on copies of a model, while it lives, that decide between hypotheses. One file each."""

from unbug.checks.probes.apart import Apart, can_be_apart, in_child
from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.running import Asked, ask_probes, run_probes
from unbug.checks.probes.subject import Subject

__all__ = [
    "Apart",
    "Asked",
    "Clock",
    "NotPossible",
    "Subject",
    "ask_probes",
    "can_be_apart",
    "in_child",
    "run_probes",
]
