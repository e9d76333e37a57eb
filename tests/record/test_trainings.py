"""Which training a step belongs to, in real loops."""

import torch
from torch import nn
from torch.nn import functional as F


def net(inputs=6, outputs=3):
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))


def fit(model, optimizer, steps=5):
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(model(torch.randn(4, 6)), torch.randn(4, 3)).backward()
        optimizer.step()


def sgd(model, rate=0.01):
    return torch.optim.SGD(model.parameters(), lr=rate)


def test_one_model_is_one_training(record):
    with record() as writer:
        model = net()
        fit(model, sgd(model), 7)
    assert writer.steps() == {0: 7}
    assert [step for step, _ in writer.read("loss.value")] == list(range(7))
    assert writer.trainings[-1].ended


def test_folds_begin_a_training_each(record):
    with record() as writer:
        for _ in range(4):
            model = net()
            fit(model, sgd(model))
    assert writer.steps() == {0: 5, 1: 5, 2: 5, 3: 5}
    assert [len(writer.values("loss.value", training=fold)) for fold in range(4)] == [5] * 4


def test_folds_that_reuse_the_names_of_dead_objects_are_told_apart(record):
    with record() as writer:
        for _ in range(12):
            model = optimizer = None
            model = net()
            optimizer = sgd(model)
            fit(model, optimizer, 2)
    assert writer.steps() == dict.fromkeys(range(12), 2)


def test_models_made_up_front_and_trained_in_turn_are_trainings_of_their_own(record):
    with record() as writer:
        models = [net() for _ in range(3)]
        for model in models:
            model(torch.randn(2, 6))  # prints shapes, say; before any optimizer
        optimizers = [sgd(model) for model in models]
        for model, optimizer in zip(models, optimizers, strict=True):
            fit(model, optimizer)
            model(torch.randn(2, 6))  # an evaluation that forgot no_grad
    assert writer.steps() == {0: 5, 1: 5, 2: 5}


def test_an_ensemble_trained_in_one_loop_is_a_training_each(record):
    with record() as writer:
        models = [net() for _ in range(2)]
        optimizers = [sgd(model) for model in models]
        for _ in range(6):
            for model, optimizer in zip(models, optimizers, strict=True):
                fit(model, optimizer, 1)
    assert writer.steps() == {0: 6, 1: 6}


def test_a_rebuilt_optimizer_goes_on_with_its_training(record):
    with record() as writer:
        model = net()
        fit(model, torch.optim.SGD(model[2].parameters(), lr=0.1), 3)
        fit(model, torch.optim.Adam(model.parameters()), 4)
    assert writer.steps() == {0: 7}
    assert writer.trainings[-1].optimizers[0] == "Adam"
    assert [step for step, _ in writer.read("loss.value")] == list(range(7))


def gan_steps(record, *, detached_without_grad, critic_steps=1, rounds=6):
    with record() as writer:
        generator, discriminator = net(2, 4), net(4, 1)
        optimizer_g = torch.optim.Adam(generator.parameters())
        optimizer_d = torch.optim.Adam(discriminator.parameters())
        for _ in range(rounds):
            for _ in range(critic_steps):
                optimizer_d.zero_grad()
                if detached_without_grad:
                    with torch.no_grad():
                        fake = generator(torch.randn(5, 2))
                else:
                    fake = generator(torch.randn(5, 2)).detach()
                real_loss = F.binary_cross_entropy_with_logits(
                    discriminator(torch.randn(5, 4)), torch.ones(5, 1)
                )
                real_loss.backward()
                F.binary_cross_entropy_with_logits(discriminator(fake), torch.zeros(5, 1)).backward()
                optimizer_d.step()
            optimizer_g.zero_grad()
            score = discriminator(generator(torch.randn(5, 2)))
            F.binary_cross_entropy_with_logits(score, torch.ones(5, 1)).backward()
            optimizer_g.step()
    return writer


def test_a_gan_is_one_training_counted_by_its_larger_network(record):
    for without_grad in (False, True):
        writer = gan_steps(record, detached_without_grad=without_grad)
        assert writer.steps() == {0: 6}, without_grad
        assert set(writer.trainings[-1].optimizers) == {"Adam"}
        assert len(writer.trainings[-1].optimizers) == 2
        assert not any(writer.values("loop.stale_gradient"))
        assert [step for step, _ in writer.read("loss.value")] == list(range(6)), without_grad
        assert [step for step, _ in writer.read("loss.other")] == list(range(6)), without_grad


def test_a_critic_that_steps_more_often_does_not_count_the_steps(record):
    writer = gan_steps(record, detached_without_grad=False, critic_steps=5)
    assert writer.steps() == {0: 6}
    assert len(writer.read("loss.other")) == 30


def test_a_discriminator_stepped_twice_before_the_generator_ran_with_gradients(record):
    writer = gan_steps(record, detached_without_grad=True, critic_steps=2)
    assert writer.steps() == {0: 6}
    assert [step for step, _ in writer.read("loss.value")] == list(range(6))
    assert [step for step, _ in writer.read("loss.other")] == [step for step in range(6) for _ in range(2)]
    assert "(zFBFBs)+ZFBS" in writer.orders()


def test_a_larger_model_that_waits_for_its_turn_takes_no_rows(record):
    with record() as writer:
        models = [net(), nn.Sequential(nn.Linear(6, 50), nn.ReLU(), nn.Linear(50, 3))]
        optimizers = [sgd(model) for model in models]
        for model, optimizer in zip(models, optimizers, strict=True):
            fit(model, optimizer, 14)
    assert writer.steps() == {0: 14, 1: 14}
    for number in (0, 1):
        assert [step for step, _ in writer.read("loss.value", training=number)] == list(range(14))
        looked_at = {step for step, _ in writer.read("weight.mean", training=number)}
        assert 0 in looked_at and len(looked_at) >= 3


def test_actor_and_critic_are_one_training(record):
    with record() as writer:
        actor, critic = net(6, 2), net(6, 1)
        optimizers = [torch.optim.Adam(actor.parameters()), torch.optim.Adam(critic.parameters())]
        for _ in range(5):
            states = torch.randn(8, 6)
            chance = torch.log_softmax(actor(states), 1)[:, 0]
            value = critic(states)[:, 0]
            for optimizer in optimizers:
                optimizer.zero_grad()
            (-(chance * (1 - value.detach())).mean() + F.mse_loss(value, torch.ones(8))).backward()
            for optimizer in optimizers:
                optimizer.step()
    assert writer.steps() == {0: 5}


def test_two_optimizers_of_one_model_share_each_loss(record):
    with record() as writer:
        model = net()
        optimizers = [sgd(model[0]), torch.optim.Adam(model[2].parameters())]
        losses = []
        for _ in range(5):
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = F.mse_loss(model(torch.randn(4, 6)), torch.randn(4, 3))
            loss.backward()
            losses.append(loss.item())
            for optimizer in optimizers:
                optimizer.step()
    assert writer.steps() == {0: 5}
    assert writer.values("loss.value") == losses
    assert writer.values("loss.other") == losses


def test_a_program_without_an_optimizer_counts_its_backward_calls(record):
    with record() as writer:
        model = net()
        for _ in range(4):
            F.mse_loss(model(torch.randn(4, 6)), torch.randn(4, 3)).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
                    parameter.grad = None
    assert writer.steps() == {0: 4}
    assert writer.trainings[-1].facts == {"steps_counted_by": "backward"}
    assert any("by calls of backward" in note for note in writer.recorder.coverage()["notes"])
    assert len(writer.values("loss.value")) == 4


def test_a_process_that_trains_nothing_lacks_no_optimizer(record):
    with record() as writer, torch.no_grad():
        net()(torch.randn(4, 6))
    assert writer.recorder.coverage()["notes"] == []


def test_a_loss_module_is_not_what_a_program_without_an_optimizer_trains(record):
    criterion = nn.MSELoss()
    with record() as writer:
        model = net()
        for _ in range(4):
            model.zero_grad()
            criterion(model(torch.randn(4, 6)), torch.randn(4, 3)).backward()
            for parameter in model.parameters():
                parameter.data.add_(parameter.grad, alpha=-0.1)
    assert writer.steps() == {0: 4}
    assert "weight.mean" in {one.name for group, *_ in writer.rows for one in writer.groups[group][0]}


def test_a_program_of_autograd_grad_alone_counts_these(record):
    with record() as writer:
        model = net()
        for _ in range(3):
            loss = F.mse_loss(model(torch.randn(4, 6)), torch.randn(4, 3))
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient
    assert writer.steps() == {0: 3}
    assert len(writer.values("loss.value")) == 3


def test_an_optimizer_that_never_steps_still_gives_a_training(record):
    with record() as writer:
        model = net()
        optimizer = sgd(model)
        for _ in range(20):
            optimizer.zero_grad()
            F.mse_loss(model(torch.randn(4, 6)), torch.randn(4, 3)).backward()
    assert list(writer.steps()) == [0]
    assert writer.trainings[-1].facts == {"steps_counted_by": "zero_grad"}
    assert len(writer.values("loss.value")) >= 10
    assert "ZFB" in writer.orders()


def test_nothing_of_the_program_is_kept_alive(record):
    import gc
    import weakref

    with record() as writer:
        writer.recorder.kept.let_go()  # what probes at the end are to work with
        model = net()
        optimizer = sgd(model)
        fit(model, optimizer)
        held = [weakref.ref(one) for one in (model, optimizer, *model.parameters(), *model.modules())]
        del model, optimizer
        gc.collect()
        assert [ref() for ref in held if ref() is not None] == []


def test_position_is_that_of_the_last_step_until_work_on_the_next_begins(record):
    with record() as writer:
        model = net()
        optimizer = sgd(model)
        assert writer.recorder.position()[:2] == (-1, -1)
        fit(model, optimizer, 3)
        assert writer.recorder.position()[:2] == (0, 2)
        with torch.no_grad():
            model(torch.randn(4, 6))
        assert writer.recorder.position() == (0, 2, 0, 1)
        loss = F.mse_loss(model(torch.randn(4, 6)), torch.randn(4, 3))
        assert writer.recorder.position() == (0, 3, 0, 0)
        loss.backward()
        assert writer.recorder.position()[:2] == (0, 3)
