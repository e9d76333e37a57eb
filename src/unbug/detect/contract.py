"""What a file of a rule imports, ours or a plug-in's."""

from unbug.detect.cases import Case, event, fires, silent
from unbug.detect.declaration import API_VERSION, Rule, detector, threshold
from unbug.detect.endings import (
    ended_by,
    ending_evidence,
)
from unbug.detect.loops import (
    alternating,
    comparable_loss,
    crawls,
    even_loss,
    good_from_start,
    moved,
    supervised,
    up_to,
)
from unbug.detect.measures import (
    ADAPTIVE,
    block_medians,
    is_matrix,
    joined,
    matrices,
    total_ratio,
    weight_growth,
)
from unbug.detect.probed import Probed, module_place, probed
from unbug.detect.setup import (
    Scheduler,
    Setup,
    half_precision,
    program_line,
    schedulers,
    setups,
    stepping,
)
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
    "Probed",
    "Rule",
    "Scheduler",
    "Setup",
    "Severity",
    "Site",
    "Source",
    "Track",
    "Training",
    "Window",
    "alternating",
    "block_medians",
    "common_place",
    "comparable_loss",
    "covering_place",
    "crawls",
    "detector",
    "ended_by",
    "ending_evidence",
    "evaluated",
    "even_loss",
    "event",
    "facts_evidence",
    "fires",
    "good_from_start",
    "half_precision",
    "is_matrix",
    "joined",
    "last_checkpoint",
    "loss_sites",
    "matrices",
    "modes",
    "module_place",
    "moved",
    "named",
    "orders",
    "parameter_looks",
    "probed",
    "program_line",
    "schedulers",
    "seen_again",
    "setups",
    "silent",
    "stepping",
    "supervised",
    "threshold",
    "total_ratio",
    "trained_sites",
    "up_to",
    "weight_growth",
]
