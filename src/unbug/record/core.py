"""What the parts of the recorder share: where the program stands, and how rows and events are written."""

from __future__ import annotations

import random as random_module
from collections import Counter
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from unbug.numerics import Scratch
from unbug.record.budget import Budget
from unbug.record.cost import Blocks
from unbug.record.eyes import Eyes
from unbug.record.grammar import Letters
from unbug.record.items import Groups
from unbug.record.progress import Progress
from unbug.record.roots import Root, Roots
from unbug.record.rows import Rows
from unbug.record.trainings import LiveTraining, Trainings
from unbug.record.watched import FirstPass, Watched
from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.hooks import Hub, Nap
    from unbug.store import Writer

__all__ = ["Core"]


class Core:
    """Shared by the parts; lives as long as the recorder. Holds no tensor and no module of the program."""

    def __init__(
        self,
        writer: Writer,
        *,
        budget: float,
        every: int | None,
        clock_ns: Callable[[], int],
        random: random_module.Random,
    ) -> None:
        self.writer, self.clock_ns, self.random = writer, clock_ns, random
        self.roots = Roots()
        self.trainings = Trainings(self.roots)
        self.rows = Rows(writer, clock_ns)
        self.letters = Letters()
        self.progress = Progress(self.rows.gathered)
        self.budget = Budget(budget, every=every)
        self.groups = Groups(writer)
        self.eyes = Eyes(self)
        self.scratch = Scratch()
        self.unseen: Counter[str] = Counter()
        self.watched: dict[int, Watched] = {}
        self.current: Watched | None = None
        self.first = FirstPass()
        self.early: list[tuple[int, tuple[float, ...], int]] = []
        self.given_names: dict[int, str] = {}
        self.hub: Hub | None = None
        self.last_root: Root | None = None
        self.phase = Phase.OTHER
        self.evaluating: Root | None = None
        self.spent = 0
        self.chosen_ns = 0
        self.asleep = 0
        self.asleep_before = False
        self.slept = 0
        self.spent_since = 0
        self.setup_ns = 0
        self.step_ns = [0]
        self.blocks = Blocks(random)
        self.faults: list[str] = []
        self.resumed = False

    def settle(self) -> None:
        """Add what was spent since `spent_since`."""
        self.spent += perf_counter_ns() - self.spent_since

    def watched_of(self, training: LiveTraining) -> Watched:
        """What is kept about a training."""
        watched = self.watched.get(training.number)
        if watched is None:
            watched = self.watched[training.number] = Watched(training, self.writer)
        return watched

    def number(self) -> int:
        """The training that what happens now belongs to: the one of the last root, if that is known."""
        root = self.last_root
        if root is not None:
            if root.training is not None:
                return root.training
            if root.parameters and root.last_grad >= 0 and self.trainings.all:
                return len(self.trainings.all)
        current = self.trainings.current
        if current is not None:
            return current.number
        return 0 if self.progress.open else -1

    def position(self) -> tuple[int, int, int, int]:
        """Training, step, micro, phase. After a step it is that step until the next one's work begins."""
        number = self.number()
        known = self.trainings.all
        steps = known[number].steps if 0 <= number < len(known) else 0
        if self.progress.open and self.phase == Phase.TRAIN:
            return number, steps, max(self.progress.micro - 1, 0), Phase.TRAIN
        return number, steps - 1, 0, self.phase

    def event(
        self, kind: str, fields: Mapping[str, Any], *, training: int | None = None, step: int | None = None
    ) -> None:
        """Write an event of where the program stands, or of the training and step given."""
        number, now, micro, phase = self.position()
        self.writer.event(
            kind,
            fields,
            t_ns=self.clock_ns(),
            training=number if training is None else training,
            step=now if step is None else step,
            micro=micro,
            phase=phase,
        )

    def doze(self, nap: Nap | None, *, short_cut: bool = False) -> None:
        """Have the hub tell only what is kept of steps that are slept through, or all again."""
        if self.hub is not None:
            self.hub.nap = nap if short_cut else None
            self.hub.dozing = nap is not None

    def watch_modules(self, wanted: bool) -> None:
        """Have the hub tell of inner modules, or not."""
        hub = self.hub
        if hub is not None and hub.watch_modules is not wanted:
            hub.watch_modules = wanted

    def watch_forwards(self, wanted: bool) -> None:
        """Have the hub watch modules at all, or not."""
        hub = self.hub
        if hub is not None and hub.watch_forwards is not wanted:
            hub.watch_forwards = wanted
