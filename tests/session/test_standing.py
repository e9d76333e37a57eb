"""What the status of a run says while it lives."""

from unbug.session.standing import Standing, last_loss
from unbug.store import create_run, open_reader, open_writer, process_identity
from unbug.types import Phase, Place, Series, Training


def written(path, losses, *, first=0):
    writer = open_writer(path)
    writer.training(Training(number=0, steps=first + len(losses)))
    group = writer.group([Series(name="loss.value", place=Place(path="loss", kind="loss", training=0))])
    for step, loss in enumerate(losses, first):
        writer.row(group, (loss,), t_ns=step, training=0, step=step, phase=Phase.TRAIN)
    writer.flush()
    return writer


def test_a_run_that_lives_shows_its_last_loss(tmp_path):
    path, _ = create_run(tmp_path, name="lives")
    writer = written(path, [3.0, 2.0, 1.5])
    reader = open_reader(path)
    standing = Standing(
        path,
        writer,
        lambda: (0, 2, 0, 0),
        attempt=0,
        of_processes=False,
        redact=str,
        identity=process_identity(),
    )
    standing.write()
    reader.refresh()
    assert reader.status.last_loss is None
    standing.found({}, reader.trainings(), last_loss=last_loss(reader))
    standing.write()
    reader.refresh()
    status = reader.status
    assert (status.last_loss, status.steps, status.state.value) == (1.5, 3, "running")
    reader.close()
    writer.close()


def test_the_last_loss_of_a_long_run_is_found_at_its_end(tmp_path):
    path, _ = create_run(tmp_path, name="long")
    writer = written(path, [float(step) for step in range(3000)])
    reader = open_reader(path)
    assert last_loss(reader) == 2999.0
    reader.close()
    writer.close()


def test_the_last_loss_may_lie_far_back_or_be_nowhere(tmp_path):
    path, _ = create_run(tmp_path, name="far")
    writer = written(path, [4.0])
    writer.training(Training(number=0, steps=5000))
    writer.flush()
    reader = open_reader(path)
    assert last_loss(reader) == 4.0
    reader.close()
    writer.close()
    empty, _ = create_run(tmp_path, name="empty")
    reader = open_reader(empty)
    assert last_loss(reader) is None
    assert last_loss(None) is None
    reader.close()
