"""`--stop-on`: a hopeless program ends early, cleanly, and it is said what that saves."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from unbug.session import stopping
from unbug.session.ending import Ending
from unbug.session.planned import live_bars, planned
from unbug.session.stopping import PATIENCE_S, Stopper, is_saving, saved_words
from unbug.types import Event, Finding, RunState, Severity, chinese

HOPELESS = """
    import sys, time
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(64, 8), torch.randint(0, 2, (64,))
    epochs = 4000
    try:
        for epoch in range(epochs):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x).softmax(1), y)
            loss.backward()
            optimizer.step()
            time.sleep(0.01)
    finally:
        print("closed files after", epoch, flush=True)
    print("finished")
"""


def test_a_hopeless_program_ends_early_and_cleanly(place):
    done = place.recorded(HOPELESS, options=["--stop-on", "error", "--lang", "en"], code=3)
    assert "closed files after" in done.stdout and "finished" not in done.stdout
    assert "Traceback" not in done.stderr
    assert "since L101 softmax-before-cross-entropy stands" in done.stderr
    assert "of 4,000 steps by its script" in " ".join(done.stderr.split())
    with place.open() as reader:
        assert reader.status.state is RunState.INTERRUPTED and reader.status.exit_code == 3
        (stop,) = reader.events("stop")
        (end,) = reader.events("end")
        assert reader.events("crash") == ()
    assert stop.fields["rule"] == "L101" and stop.fields["planned_steps"] == 4000
    assert end.fields["reason"] == "interrupted" and "stopped by unbug" in end.fields["text"]


def test_a_live_warning_speaks_the_users_language_in_lines_that_fit(place):
    source = HOPELESS.replace("4000", "250")
    done = place.recorded(source, env={"UNBUG_LANG": "zh", "COLUMNS": "60"})
    live = done.stderr.partition("─")[0]
    assert "unbug: 错误 L101 交叉熵前多了 softmax" in live and "自第 0 步" in live
    assert "自第 0 步" in done.stderr.partition("─")[2], "the end tells the same step"


def finding(severity=Severity.ERROR, **fields):
    options = {"rule": "T101", "name": "missing-zero-grad", "place": "loop", "message": "m", "advice": "a"}
    return Finding(severity=severity, id="T101-0", **options | fields)


class Stopped:
    """A stopper with its surroundings."""

    def __init__(self, stop_on="error", *, takes=True):
        self.events, self.said, self.interrupts, self.now = [], [], 0, 0.0
        self.takes = takes
        faults = SimpleNamespace(guard=lambda what: __import__("contextlib").nullcontext())
        self.stopper = Stopper(
            stop_on,
            position=lambda: (0, 9, 0, 0),
            event=self.events.append,
            say=self.said.append,
            faults=faults,
            interrupt=self.interrupt,
            clock=lambda: self.now,
        )

    def interrupt(self):
        self.interrupts += 1
        return self.takes


def test_only_what_is_bad_enough_and_open_stops():
    for one in (finding(Severity.WARNING), finding(state="suppressed"), finding(Severity.NOTE)):
        place = Stopped()
        place.stopper.tell(one)
        place.stopper.look(None)
        assert place.interrupts == 0
    place = Stopped("warning")
    place.stopper.tell(finding(Severity.WARNING))
    place.stopper.look(None)
    place.stopper.look(None)
    assert place.interrupts == 1 and len(place.said) == 1 and place.events[0]["step"] == 9


def test_it_waits_for_a_save_but_not_for_ever(monkeypatch):
    place = Stopped()
    place.stopper.tell(finding())

    monkeypatch.setattr(stopping, "_main_frame", lambda: frame_of("write", frame_of("save_checkpoint")))
    place.stopper.look(None)
    assert place.interrupts == 0
    place.now = PATIENCE_S + 1
    place.stopper.look(None)
    assert place.interrupts == 1


def frame_of(name, outer=None):
    return SimpleNamespace(f_code=SimpleNamespace(co_name=name), f_back=outer)


def test_a_save_is_known_by_its_frames():
    assert is_saving(frame_of("_write_item", frame_of("torch_save", frame_of("train"))))
    assert is_saving(frame_of("save_pretrained"))
    assert not is_saving(frame_of("backward", frame_of("train", frame_of("<module>"))))
    assert not is_saving(None)


def test_a_program_that_takes_no_interrupts_goes_on():
    place = Stopped(takes=False)
    place.stopper.tell(finding())
    place.stopper.look(None)
    assert not place.stopper.stopped and "goes on" in place.said[-1]
    done = Ending(state=RunState.FINISHED)
    assert place.stopper.ending(done) is done


def test_a_program_that_fails_by_itself_has_failed():
    place = Stopped()
    place.stopper.tell(finding())
    place.stopper.look(None)
    failed = Ending(state=RunState.FAILED, exit_code=1, error="ValueError: x")
    assert place.stopper.ending(failed) is failed
    assert place.stopper.ending(Ending(state=RunState.FINISHED)).state is RunState.INTERRUPTED


LOADER = Event(kind="loader", fields={"examples": 101, "batch_size": 10, "grad": True, "drop_last": False})


@pytest.mark.parametrize(
    ("made", "events", "more", "steps"),
    [
        (50, [Event(kind="epoch", step=s, fields={"epoch": s // 10, "of": 20}) for s in (10, 50)], {}, 200),
        (50, [], {"bars": [(0.5, 10.0)]}, 1000),
        (50, [LOADER], {"numbers": {"epochs": 20}}, 220),
        (50, [], {"numbers": {"NUM_STEPS": 300}}, 300),
        (50, [LOADER, Event(kind="hyperparameters", fields={"values": {"train.num_epochs": 9}})], {}, 99),
        (50, [], {"numbers": {"epochs": 20, "n_epochs": 30}}, None),
        (50, [], {"numbers": {"epochs": 40}}, None),
        (50, [], {}, None),
    ],
)
def test_how_long_it_was_to_be(made, events, more, steps):
    found = planned(made, events, **more)
    assert (found.steps if found else None) == steps


def test_what_is_saved_is_said_in_both_languages():
    said = saved_words(finding(), 10, planned(10, [], numbers={"steps": 1010}), spent_s=60)
    assert "1,000 of 1,010 steps by its script are saved, about 100 min" in said
    assert "省下 1,000 步，约 100 分钟" in chinese(said)
    assert "is not known" in saved_words(finding(), 10, None, spent_s=1)


def test_bars_of_tqdm_are_read(monkeypatch):
    bars = [
        SimpleNamespace(n=30, total=100),
        SimpleNamespace(n=1, total=10),
        SimpleNamespace(n=0, total=None),
    ]
    monkeypatch.setitem(sys.modules, "tqdm.std", SimpleNamespace(tqdm=SimpleNamespace(_instances=bars)))
    assert live_bars() == [(1.0, 10.0), (30.0, 100.0)]
