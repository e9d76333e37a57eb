"""What a file of a rule imports, ours or a plug-in's."""

from unbug.detect.cases import Case, event, fires, silent
from unbug.detect.declaration import API_VERSION, Rule, detector, threshold
from unbug.detect.measures import ADAPTIVE, block_medians, is_matrix, joined, matrices, total_ratio
from unbug.detect.sites import Site, evaluated, loss_sites, trained_sites
from unbug.detect.statement import Finding
from unbug.detect.structure import (
    common_place,
    covering_place,
    facts_evidence,
    last_checkpoint,
    modes,
    named,
    orders,
    parameter_looks,
    seen_again,
)
from unbug.detect.track import Track
from unbug.detect.window import Window
from unbug.types import Bilingual, Event, Evidence, Phase, Place, Severity, Source, Training

__all__ = [
    "ADAPTIVE",
    "API_VERSION",
    "Bilingual",
    "Case",
    "Event",
    "Evidence",
    "Finding",
    "Phase",
    "Place",
    "Rule",
    "Severity",
    "Site",
    "Source",
    "Track",
    "Training",
    "Window",
    "block_medians",
    "common_place",
    "covering_place",
    "detector",
    "evaluated",
    "event",
    "facts_evidence",
    "fires",
    "is_matrix",
    "joined",
    "last_checkpoint",
    "loss_sites",
    "matrices",
    "modes",
    "named",
    "orders",
    "parameter_looks",
    "seen_again",
    "silent",
    "threshold",
    "total_ratio",
    "trained_sites",
]
