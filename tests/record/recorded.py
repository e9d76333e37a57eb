"""A writer in memory, and questions that tests ask it."""

import math
from collections import Counter

__all__ = ["MemoryWriter"]


class MemoryWriter:
    """Keeps what `store.contract.Writer` would write."""

    def __init__(self):
        self.groups, self.rows, self.events, self.trainings = [], [], [], []
        self._numbers = {}

    def group(self, series, *, kind="scalar"):
        key = (tuple(series), kind)
        if key not in self._numbers:
            self._numbers[key] = len(self.groups)
            self.groups.append(key)
        return self._numbers[key]

    def row(self, group, values, *, t_ns, training=-1, step=-1, micro=0, phase=2, user_step=None):
        series, kind = self.groups[group]
        if kind == "blob":
            assert isinstance(values, bytes)
        else:
            assert len(values) == len(series)
            assert all(isinstance(value, float) for value in values), (series, values)
        self.rows.append((group, values, training, step, micro, int(phase)))

    def before_flush(self, feed):
        """Nothing is flushed: what is kept back comes when the recorder wakes or closes."""

    def event(self, kind, fields, *, t_ns, training=-1, step=-1, micro=0, phase=2):
        self.events.append((kind, training, step, fields))

    def training(self, training):
        self.trainings.append(training)

    def read(self, name, place=None, *, training=None, phase=None, statistic=None):
        """`[(step, value)]` of a series."""
        found = []
        for group, values, number, step, _, row_phase in self.rows:
            if (training is not None and number != training) or (phase is not None and row_phase != phase):
                continue
            series, kind = self.groups[group]
            for index, one in enumerate(series):
                wanted = one.name == name and (place is None or one.place.path == place)
                if wanted and (statistic is None or one.statistic == statistic):
                    found.append((step, values if kind == "blob" else values[index]))
        return found

    def values(self, name, place=None, **which):
        return [value for _, value in self.read(name, place, **which)]

    def places(self, name):
        """Paths at which a series was written."""
        return {
            one.place.path for group, *_ in self.rows for one in self.groups[group][0] if one.name == name
        }

    def told(self, kind, training=None):
        """Fields of the events of a kind."""
        return [
            fields for one, number, _, fields in self.events if one == kind and training in (None, number)
        ]

    def orders(self, training=0):
        """How often each word of the loop came."""
        return {one["order"]: one["count"] for one in self.told("loop_order", training) if "count" in one}

    def steps(self):
        """Steps by training, as last told."""
        return {one.number: one.steps for one in self.trainings}

    def kinds(self):
        return Counter(kind for kind, *_ in self.events)


def close(a, b, rel=1e-5):
    return math.isclose(a, b, rel_tol=rel, abs_tol=1e-9)
