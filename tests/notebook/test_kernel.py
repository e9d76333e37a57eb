"""Real notebooks in real kernels: recorded cells are the bare cells, and nothing stays behind."""

from __future__ import annotations

import json
import re
import time

import pytest

import unbug
from tests.notebook.conftest import executed, outputs

SETUP = """\
%load_ext unbug
import torch
from torch import nn

torch.manual_seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.last = nn.Linear(16, 1)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))

x = torch.randn(64, 8)
y = x.sum(1, keepdim=True)
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

def train(steps=30):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()
"""
BROADCASTS = """\
%%unbug --name 'a fault' --tag nb
for _ in range(30):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y[:, 0])
    loss.backward()
    optimizer.step()
print("end of the cell")
round(loss.item(), 4)"""
CELLS = {
    "setup": SETUP,
    "recorded": BROADCASTS,
    "view": "import unbug\nview = unbug.open('a fault')\nview",
    "findings": "view.findings()",
    "tables": "view.tables()",
    "table": "view.table('scalars')",
    "sql": 'view.sql("select name, place from series limit 3")',
    "fails": "%%unbug\n0\n0\n0\ndef inner():\n    raise KeyError('user')\n0\n0\n0\n0\ninner()",
    "awaits": "%%unbug --quiet\nimport asyncio\nawait asyncio.sleep(0, 'awaited')",
    "wrong option": "%%unbug --nmae x\nprint('ran')",
    "wrong value": "%%unbug --budget 200%\nprint('ran')",
    "syntax": "%%unbug --name never\nfor x in range(3:\n    pass",
    "help": "%unbug?",
    "statement": "%unbug --name one train(25)",
    "wrong statement": "%unbug 1 / 0",
    "on": "%unbug on --name whole",
    "on again": "%unbug on",
    "first": "model = Net(); optimizer = torch.optim.SGD(model.parameters(), lr=0.05)\ntrain()",
    "first again": "model = Net(); optimizer = torch.optim.SGD(model.parameters(), lr=0.05)\ntrain()",
    "goes on": "train(10)",
    "inside": "%%unbug\ntrain(5)",
    "joins": "with unbug.run(name='other') as run:\n    run.log({'seen': 1.0})\n    print(run.name)",
    "status": "%unbug",
    "off": "%unbug off",
    "off again": "%unbug off",
    "with": "with unbug.run(name='with') as run:\n    train(20)\nrun",
    "below time": "%%time\n%%unbug --name timed\ntrain(20)\nraise ValueError('below')",
    "fail on": BROADCASTS.replace("--tag nb", "--fail-on error"),
    "unload": "%unload_ext unbug",
    "gone": "%unbug",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook") / "runs"


@pytest.fixture(scope="module")
def cells(runs):
    done = executed(list(CELLS.values()), runs)
    return dict(zip(CELLS, done, strict=True))


def error(cell):
    (found,) = outputs(cell, "error")
    return found, re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(found.traceback))


def test_the_recorded_cell_prints_and_gives_what_the_bare_one_does(cells):
    cell = cells["recorded"]
    assert outputs(cell, "stdout") == ["end of the cell\n"]
    (value,) = [one for one in cell.outputs if one.output_type == "execute_result"]
    assert float(value.data["text/plain"]) > 0
    assert cell.outputs[-1].output_type == "display_data"


def test_its_findings_are_shown_below_it_as_html_and_as_text(cells):
    (html,), plain = outputs(cells["recorded"], "text/html"), outputs(cells["recorded"], "text/plain")[-1]
    assert "unbug-card" in html and "a fault" in html and "<svg" in html
    assert "broadcasting-loss" in plain
    assert "unbug" not in "".join(outputs(cells["recorded"], "stderr"))


def test_a_finding_names_the_cell_and_shows_its_line(cells, runs):
    html = outputs(cells["recorded"], "text/html")[0]
    number = cells["recorded"].execution_count
    assert f"cell {number}, line 4" in html
    assert "nn.functional.mse_loss(model(x), y[:, 0])" in html
    assert "/tmp" not in html.replace(str(runs), "")
    with unbug.open(runs / "a-fault") as view:
        finding = next(one for one in view.findings() if one.rule == "L103")
        assert (finding.source.file, finding.source.line) == (f"cell {number}", 4)
        assert finding.source.text.startswith("loss = nn.functional.mse_loss")
        places = view.events("places")[-1].fields["places"]
        net = next(one for one in places if one["class_name"].endswith("Net"))
        assert net["source"] == [f"cell {cells['setup'].execution_count}", 6]


def test_names_and_tags_are_those_of_the_line(runs):
    with unbug.open(runs / "a-fault") as view:
        assert (view.run.name, view.run.tags) == ("a fault", ("nb",))


def test_a_seed_that_an_earlier_cell_set_is_known(cells, runs):
    with unbug.open(runs / "a-fault") as view:
        (begun,) = [event for event in view.events("seeds") if "seeded" in event.fields]
        assert begun.fields["seeded"] == ["torch"]
        assert "D114" not in {finding.rule for finding in view.findings()}


@pytest.mark.parametrize("name", ["view", "findings", "tables", "table", "sql"])
def test_what_is_read_is_shown_as_html_and_as_text(cells, name):
    (html,), (plain,) = outputs(cells[name], "text/html"), outputs(cells[name], "text/plain")
    assert "unbug-card" in html
    assert "unbug-card" not in plain and plain


def test_an_exception_looks_as_without_unbug(cells, runs):
    found, text = error(cells["fails"])
    assert (found.ename, found.evalue) == ("KeyError", "'user'")
    bare = executed([CELLS["fails"].replace("%%unbug", "# bare")], runs)[0]
    number = cells["fails"].execution_count
    assert text == error(bare)[1].replace("In[1]", f"In[{number}]")
    with unbug.open("notebook", dir=runs) as view:
        assert view.status.state.value == "failed"
        assert "KeyError" in view.events("crash")[-1].fields["error"]


def test_await_at_the_top_works(cells):
    assert outputs(cells["awaits"], "text/plain") == ["'awaited'"]


@pytest.mark.parametrize(("name", "says"), [("wrong option", "--nmae"), ("wrong value", "200%")])
def test_a_cell_with_wrong_options_does_not_run(cells, name, says):
    found, text = error(cells[name])
    assert says in found.evalue
    assert "extension.py" not in text
    assert outputs(cells[name], "stdout") == []


def test_a_cell_that_cannot_be_compiled_leaves_no_run(cells, runs):
    found, text = error(cells["syntax"])
    assert found.ename == "SyntaxError" and "line 2" in text
    assert len(cells["syntax"].outputs) == 1
    assert not (runs / "never").exists()


def test_a_statement_is_recorded(cells, runs):
    with unbug.open("one", dir=runs) as view:
        assert [one.steps for one in view.trainings] == [25]
    assert len(outputs(cells["statement"], "text/html")) == 1


def test_a_statement_fails_without_frames_of_unbug(cells):
    found, text = error(cells["wrong statement"])
    assert found.ename == "ZeroDivisionError"
    assert "notebook/extension.py" not in text


def test_one_run_over_many_cells_has_a_training_for_each_model(cells, runs):
    assert "whole" in outputs(cells["on"], "stdout")[0]
    assert "a run is open already" in error(cells["on again"])[0].evalue
    with unbug.open("whole", dir=runs) as view:
        assert [one.steps for one in view.trainings] == [30, 45]
        assert view.read("seen").values.tolist() == [1.0]
    assert outputs(cells["joins"], "stdout") == ["whole\n"]
    assert not outputs(cells["inside"], "text/html")
    assert "running" in outputs(cells["status"], "text/html")[0]
    assert "75 steps in 2 trainings" in outputs(cells["off"], "text/html")[0]
    assert "no run is open" in error(cells["off again"])[0].evalue


def test_a_with_statement_shows_its_run(cells):
    shown, value = outputs(cells["with"], "text/html")
    assert "20 steps" in shown and "20 steps" in value


def test_below_another_magic(cells, runs):
    found, text = error(cells["below time"])
    assert found.ename == "ValueError"
    assert f"Cell In[{cells['below time'].execution_count}], line 4" in text
    assert "notebook/extension.py" not in text
    with unbug.open("timed", dir=runs) as view:
        assert [one.steps for one in view.trainings] == [20]


def test_fail_on_fails_the_cell(cells):
    found, text = error(cells["fail on"])
    assert found.ename == "FindingsStandError"
    assert "L103" in found.evalue
    assert "line" not in text.split("\n")[0]


def test_unloading_takes_the_magic_away(cells):
    assert outputs(cells["unload"], "error") == []
    assert "unbug" in "".join(outputs(cells["gone"], "stderr"))


SNAPSHOT = """\
import gc, json, os, sys, signal, _thread, types
def snapshot():
    gc.collect()
    codes = {f"{one.__module__}.{one.__qualname__}": hash(one.__code__.co_code) for one in gc.get_objects()
             if type(one) is types.FunctionType and str(one.__module__).startswith("torch.")}
    shell = get_ipython()
    files = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{name}")]
    return {"codes": codes, "threads": _thread._count(), "signal": str(signal.getsignal(signal.SIGINT)),
            "files": sorted(one for one in files if one.startswith("/") and not one.startswith("/dev")),
            "finders": [type(one).__name__ for one in sys.meta_path],
            "streams": [id(sys.stdout), id(sys.stderr)],
            "environment": {name: value for name, value in os.environ.items()},
            "hooks": len(torch.nn.modules.module._global_forward_hooks)}
"""
ENDLESS = """\
%%unbug --name endless
step = 0
while True:
    optimizer.zero_grad()
    nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
    step += 1
    if step == 50:
        print("trains", flush=True)
"""
INSIDE = """\
%%unbug --quiet --name inside
from unbug.record.steps import Steps
begin = Steps.begin
def interrupted(self, optimizer):
    begin(self, optimizer)
    signal.raise_signal(signal.SIGINT)
Steps.begin = interrupted
try:
    train(3)
finally:
    Steps.begin = begin
"""


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_behind(kernel, tmp_path):
    kernel.printed(SETUP)
    kernel.printed(SNAPSHOT)
    kernel.printed("%%unbug --quiet --name warm\nprint(train(3))")  # what is imported once stays imported
    kernel.printed("before = snapshot()")
    sent = kernel.send(ENDLESS)
    kernel.wait_for(sent, "trains")
    kernel.interrupt()
    _, reply = kernel.end_of(sent)
    assert reply["status"] == "error" and reply["ename"] == "KeyboardInterrupt"
    changed = kernel.printed(
        "after = snapshot()\nprint(json.dumps([name for name in after if after[name] != before[name]]))"
    )
    assert json.loads(changed) == []
    assert float(kernel.printed("print(train(2))")) >= 0
    with unbug.open("endless", dir=tmp_path / "runs") as view:
        assert view.status.state.value == "interrupted"
        assert view.trainings[0].steps >= 50
    assert kernel.printed("%%unbug --quiet --name again\nprint(train(3) >= 0)") == "True"
    _, reply = kernel.end_of(kernel.send(INSIDE))  # in the middle of unbug's own code
    assert reply["ename"] == "KeyboardInterrupt"
    trace = "".join(reply["traceback"])
    assert "optimizer.step()" in trace and not re.search("unbug/(hooks|record|session)/", trace)


@pytest.mark.slow
def test_a_notebook_that_waits_for_its_reader_does_not_hang(kernel, tmp_path):
    kernel.printed("import os, time\nos.environ['UNBUG_HANG_S'] = '2'")
    kernel.printed(SETUP)
    kernel.printed("%unbug on --name idle")
    kernel.printed("print(train(12))")
    time.sleep(5)
    kernel.printed("%unbug off")
    kernel.printed("%%unbug --name busy\nprint(train(12))\ntime.sleep(5)")
    with unbug.open("idle", dir=tmp_path / "runs") as view:
        assert view.events("hang") == ()
    with unbug.open("busy", dir=tmp_path / "runs") as view:
        (hang,) = view.events("hang")
        assert any("ipykernel" in line for lines in hang.fields["stacks"].values() for line in lines)


@pytest.mark.slow
def test_a_restarted_kernel_ends_its_run(kernel, tmp_path):
    kernel.printed(SETUP)
    kernel.printed("%unbug on --name before")
    kernel.printed("print(train(12))")
    kernel.restart()
    kernel.printed(SETUP)
    assert "to " in kernel.printed("%unbug on --name after")
    with unbug.open("before", dir=tmp_path / "runs") as view:
        assert view.status.state.value in ("finished", "killed")
        assert [one.steps for one in view.trainings] == [12]
