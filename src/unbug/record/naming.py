"""The beginning of a training: its roots are found, its places named, and looks at them prepared."""

from __future__ import annotations

from time import perf_counter_ns

from unbug.record.core import Core
from unbug.record.items import DataSlot, slots
from unbug.record.looks import Looks
from unbug.record.settings_seen import SettingsSeen
from unbug.record.watched import FirstPass, Watched, name_places

__all__ = ["Naming"]

_MOST_SEARCHES = 3
"""Trainings for which all objects are searched for modules that enclose the roots: some 50 ms each."""


class Naming:
    """Names what belongs to a training, once it steps, and again when its modules change."""

    def __init__(self, core: Core, settings: SettingsSeen) -> None:
        self._core, self._settings = core, settings
        self._searches = 0

    def name(self, watched: Watched) -> None:
        """Find the roots, name all places, and begin to look."""
        core = self._core
        start = perf_counter_ns()
        search = self._searches < _MOST_SEARCHES
        self._searches += search
        for root in core.roots.alive():
            if root.training is None or watched.map is not None:
                root.reread()
        first = core.first if watched.map is None else watched.first
        training = watched.training
        found = name_places(watched, core.roots.alive(), first, given=core.given_names, search=search)
        core.event("places", found.fields(), training=training.number, step=training.steps)
        for root in core.roots.alive():
            core.trainings.of_root(root)
        parameters, modules = slots(found, training.parameters, first.own)
        looks = Looks(
            parameters,
            modules,
            groups=core.groups,
            rows=core.rows,
            scratch=core.scratch,
            unseen=core.unseen,
            data=DataSlot(training.number),
        )
        if watched.looks is not None:
            looks.taken = watched.looks.taken
        watched.looks = looks
        looks.plan(*core.budget.first(looks.rotation))
        looks.take_early(core.early)
        core.early = []
        watched.first, core.first = first, FirstPass()
        for state in training.optimizers:
            self._settings.optimizer(state, watched)
        if training.number == 0:
            self._settings.begun()
        core.setup_ns += perf_counter_ns() - start
