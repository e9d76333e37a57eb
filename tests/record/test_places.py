"""Names of modules and parameters, as their author wrote them."""

import copy
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.second = nn.Linear(4, 4)
        self.first = nn.Linear(4, 4)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.block = Block()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.head(self.block(x * self.scale))


def fit(model, parameters=None, *, call=None, steps=3):
    optimizer = torch.optim.SGD(list(parameters or model.parameters()), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss((call or model)(torch.randn(4, 4)), torch.randn(4, 2)).backward()
        optimizer.step()
    return optimizer


def places(writer, kind=None):
    (fields,) = writer.told("places")[-1:]
    return {place["path"]: place for place in fields["places"] if kind in (None, place["kind"])}


def test_paths_classes_shapes_parents_and_sources(record):
    with record() as writer:
        fit(Net())
    named = places(writer)
    assert named["block.first.weight"]["shape"] == (4, 4)
    assert named["block.first.weight"]["parent"] == "block.first"
    assert named["block"]["class_name"].endswith(".Block")
    file, line = named["block"]["source"]
    assert file == __file__
    assert "class Block" in Path(file).read_text().splitlines()[line - 1]
    assert named["block.first"]["source"] is None
    assert named["Net"]["parent"] is None and named["block"]["parent"] == "Net"


def test_order_is_that_of_the_first_forward(record):
    with record() as writer:
        fit(Net())
    named = places(writer)
    assert (
        named["block.first.weight"]["order"]
        < named["block.second.weight"]["order"]
        < named["head.weight"]["order"]
    )


def test_wrappers_leave_no_trace_in_paths(record):
    with record() as writer:
        model = Net()
        averaged = torch.optim.swa_utils.AveragedModel(model)
        fit(model, call=nn.DataParallel(model))
        averaged.update_parameters(model)
    assert {"head.weight", "block.first.weight", "scale"} <= set(places(writer, "parameter"))


def test_tied_parameters_are_one_place_with_aliases(record):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.b(self.a(x)))

    with record() as writer:
        fit(Tied())
    named = places(writer, "parameter")
    assert named["a.weight"]["aliases"] == ("b.weight",)
    assert "b.weight" not in named
    assert writer.told("parameters")[0]["shared"] == [["a.weight", "b.weight"]]


def test_several_roots_lend_their_names(record):
    class Encoder(nn.Linear):
        pass

    class Decoder(nn.Linear):
        pass

    with record() as writer:
        encoder, decoder, other = Encoder(4, 3), Decoder(3, 3), Decoder(3, 2)
        both = [*encoder.parameters(), *decoder.parameters(), *other.parameters()]
        fit(None, both, call=lambda x: other(decoder(encoder(x))))
    assert {"Encoder.weight", "Decoder.weight", "Decoder-2.bias"} <= set(places(writer, "parameter"))


def test_a_module_that_is_never_called_lends_its_paths(record):
    class Agent(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def training_step(self, x):
            return self.net(x)

    with record() as writer:
        agent = Agent()
        fit(agent, call=agent.training_step)
    assert {"net.head.weight", "net.block.first.weight"} <= set(places(writer, "parameter"))
    assert "net.block.first" in writer.places("activation.mean")


def test_tensors_outside_modules_are_told_so(record):
    with record() as writer:
        weight = torch.randn(4, 2, requires_grad=True)
        fit(None, [weight], call=lambda x: x @ weight)
    assert set(places(writer)) == {"parameter 0"}
    assert writer.values("grad.mean", "parameter 0")


def test_a_name_given_by_watch_is_used(record):
    with record() as writer:
        one, two = nn.Linear(4, 3), nn.Linear(3, 2)
        writer.recorder.watch(one, name="front")
        fit(None, [*one.parameters(), *two.parameters()], call=lambda x: two(one(x)))
    assert {"front.weight", "Linear.weight"} <= set(places(writer, "parameter"))


def test_functional_calls_are_named_after_their_module(record):
    with record() as writer:
        model = Net()
        names = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
        fit(None, names.values(), call=lambda x: torch.func.functional_call(model, names, (x,)))
    assert writer.steps() == {0: 3}
    assert writer.values("weight.mean")


class TestParameters:
    def test_a_head_replaced_after_the_optimizer_was_made(self, record):
        with record() as writer:
            model = Net()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            model.head = nn.Linear(4, 2)
            for _ in range(3):
                optimizer.zero_grad()
                F.mse_loss(model(torch.randn(4, 4)), torch.randn(4, 2)).backward()
                optimizer.step()
        told = writer.told("parameters")[0]
        assert [one["path"] for one in told["unowned"]] == ["head.weight", "head.bias"]
        assert all(one["has_grad"] and one["created_after_optimizer"] for one in told["unowned"])
        assert all(one["position"] == "after" for one in told["unowned"])
        assert told["stale_count"] == 2

    def test_a_part_left_out_of_the_optimizer(self, record):
        with record() as writer:
            model = Net()
            fit(model, [model.scale, *model.head.parameters()])
        told = writer.told("parameters")[0]
        assert {one["path"] for one in told["unowned"]} == {
            f"block.{name}.{kind}" for name in ("first", "second") for kind in ("weight", "bias")
        }
        assert not any(one["created_after_optimizer"] for one in told["unowned"])
        assert told["stale_count"] == 0

    def test_frozen_ones_and_those_without_gradient(self, record):
        with record() as writer:
            model = Net()
            model.unused = nn.Linear(2, 2)
            for parameter in model.block.parameters():
                parameter.requires_grad_(False)
            fit(model)
        told = writer.told("parameters")[0]
        assert set(told["without_gradient"]) == {"unused.weight", "unused.bias"}
        assert told["frozen_count"] == 4 and told["unowned"] == []

    def test_a_healthy_model_has_nothing_to_tell(self, record):
        with record() as writer:
            fit(Net(), steps=12)
        assert len(writer.told("parameters")) == 5
        for told in writer.told("parameters"):
            assert (
                not told["unowned"]
                and not told["stale"]
                and not told["without_gradient"]
                and not told["frozen"]
            )

    def test_a_copy_held_beside_the_model_changes_nothing(self, record):
        with record() as writer:
            model = Net()
            teacher = copy.deepcopy(model)
            fit(model)
            assert teacher is not None
        assert writer.told("parameters")[0]["unowned"] == []

    def test_a_layer_added_while_training_is_noticed(self, record):
        with record() as writer:
            model = Net()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for step in range(25):
                if step == 12:
                    model.head = nn.Sequential(model.head, nn.Linear(2, 2))
                optimizer.zero_grad()
                F.mse_loss(model(torch.randn(4, 4)), torch.randn(4, 2)).backward()
                optimizer.step()
        last = writer.told("parameters")[-1]
        assert {one["path"] for one in last["unowned"]} == {"head.1.weight", "head.1.bias"}
        assert all(one["created_after_optimizer"] for one in last["unowned"])
