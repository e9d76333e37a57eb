"""Pictures, sounds, texts, tables, histograms and figures by `run.log`: what is kept, what is refused."""

from __future__ import annotations

import io
import json
import math
import os
import time
import wave

import numpy as np
import pandas as pd
import PIL.Image
import plotly.graph_objects
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import unbug
from unbug.errors import MediaError, StoreError, UsageError, ValueNotLoggableError
from unbug.session import medialog
from unbug.session.png import png


@pytest.fixture
def run(tmp_path):
    with unbug.run(dir=tmp_path / "runs", name="media", quiet=True, strict=True) as run:
        yield run


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """One run with all that is accepted, by name."""
    folder = tmp_path_factory.mktemp("gallery")
    with unbug.run(dir=folder, name="gallery", quiet=True, strict=True) as run:
        run.log({name: unbug.Image(given_) for name, (given_, _) in IMAGES.items()})
        run.log({f"sound {name}": unbug.Audio(data, 8000) for name, (data, _) in SOUNDS.items()})
        run.log({f"table {name}": given_ for name, (given_, _) in TABLES.items()})
        drained(run)
    with unbug.open(run.path) as view:
        items = view.media()
        yield {name: [item for item in items if item.name == name] for name in {item.name for item in items}}


def drained(run, within_s=60):
    """Wait until the background thread has written everything, however busy the machine is."""
    until = time.monotonic() + within_s
    while run._recording.media._waiting and time.monotonic() < until:
        time.sleep(0.05)


def kept(run, name=None):
    drained(run)
    run.close()
    with unbug.open(run.path) as view:
        return view.media(name)


def opened(item):
    """By an independent decoder."""
    with PIL.Image.open(io.BytesIO(item.data())) as image:
        return np.asarray(image).reshape(image.height, image.width, -1)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3, 4])),
        elements=st.integers(0, 255),
    )
)
def test_png_is_what_another_decoder_reads(pixels):
    with PIL.Image.open(io.BytesIO(png(pixels))) as image:
        assert (np.asarray(image).reshape(pixels.shape) == pixels).all()


GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOR = np.arange(144, dtype=np.uint8).reshape(6, 8, 3)
IMAGES = {
    "HW": (GREY, GREY[..., None]),
    "HWC": (COLOR, COLOR),
    "CHW": (COLOR.transpose(2, 0, 1), COLOR),
    "tensor": (torch.from_numpy(COLOR.transpose(2, 0, 1).copy()), COLOR),
    "floats in [0, 1]": (COLOR / 255.0, COLOR),
    "half": ((COLOR.transpose(2, 0, 1) / 255.0).astype(np.float16), COLOR),
    "bfloat16": (torch.eye(6, dtype=torch.bfloat16), (np.eye(6) * 255)[..., None]),
    "bool": (GREY > 20, (GREY > 20)[..., None] * 255),
    "int64": (COLOR.astype(np.int64), COLOR),
    "with gradient": (torch.eye(6, requires_grad=True), (np.eye(6) * 255)[..., None]),
    "strided": (COLOR[::-1, ::2], COLOR[::-1, ::2]),
    "PIL": (PIL.Image.fromarray(COLOR), COLOR),
    "PIL grey": (PIL.Image.fromarray(GREY), GREY[..., None]),
    "PIL palette": (PIL.Image.fromarray(COLOR).convert("P"), None),
    "one pixel": (np.array([[7]], np.uint8), [[[7]]]),
}


SOUNDS = {
    "mono": (np.sin(np.arange(800) / 9), 1),
    "channels first": (torch.zeros(2, 800), 2),
    "channels last": (np.zeros((800, 2)), 2),
    "16 bits": (np.arange(800, dtype=np.int16), 1),
}
FRAME = pd.DataFrame({"x": [1.0, math.nan, math.inf], "y": ["a", None, "c"], "z": [1, 2, 3]})
TABLES = {
    "pandas": (FRAME, {"x": [1.0, "NaN", "Infinity"], "y": ["a", None, "c"], "z": [1, 2, 3]}),
    "pyarrow": (pa.table({"x": [1, None], "y": ["a", "b"]}), {"x": [1, None], "y": ["a", "b"]}),
    "mappings": (unbug.Table([{"a": 1}, {"b": True}]), {"a": [1, None], "b": [None, True]}),
    "columns": (unbug.Table({"a": np.arange(3), "b": "xyz"}), {"a": [0, 1, 2], "b": ["x", "y", "z"]}),
    "rows": (unbug.Table([[1, 2], [3, 4]], columns=["a", "b"]), {"a": [1, 3], "b": [2, 4]}),
    "tensors": (unbug.Table([{"a": torch.tensor(2)}, {"a": [1, 2]}]), {"a": [2, "[1, 2]"]}),
    "none": (unbug.Table([]), {}),
}


@pytest.mark.parametrize(("given_", "shown"), IMAGES.values(), ids=IMAGES)
def test_images(gallery, request, given_, shown):
    (item,) = gallery[request.node.callspec.id]
    assert (item.kind, item.suffix) == ("image", "png")
    found = opened(item)
    assert (item.array() == found).all()
    if shown is not None:
        assert np.abs(found.astype(int) - np.asarray(shown).astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("given_", "layout", "size"),
    [
        (torch.zeros(3, 5, 3), None, (5, 3)),
        (np.zeros((3, 5, 3)), None, (3, 5)),
        (np.zeros((3, 5, 3)), "CHW", (5, 3)),
        (torch.zeros(3, 5, 4), "HWC", (3, 5)),
        (np.zeros((5, 7, 9)), "NHW", (7, 9)),
    ],
)
def test_layouts(given_, layout, size):
    piece = unbug.Image(given_, layout=layout).pieces[0]
    assert piece.fields["width"] == size[1]
    with PIL.Image.open(io.BytesIO(piece.encode(str)[0])) as image:
        assert (image.height, image.width) == size


def test_a_batch_is_one_scale_and_sixteen_of_it(run):
    batch = torch.arange(20.0).reshape(20, 1, 1, 1).expand(20, 3, 4, 4)
    run.log({"batch": unbug.Image(batch, caption=[f"number {n}" for n in range(20)])}, step=7)
    items = kept(run)
    assert [item.index for item in items] == list(range(16))
    assert {item.fields["of"] for item in items} == {20}
    assert [item.caption for item in items] == [f"number {n}" for n in range(16)]
    assert [int(opened(item)[0, 0, 0]) for item in items] == [round(255 * n / 15) for n in range(16)]
    assert {item.user_step for item in items} == {7.0}


def test_what_is_not_finite_is_seen(run):
    image = np.full((4, 4), 0.5)
    image[1, 2], image[0, 0] = np.nan, np.inf
    run.log({"image": unbug.Image(image), "none": unbug.Image(np.full((2, 2), np.nan))})
    found, none = kept(run)
    assert found.fields["nonfinite"] == 2
    assert opened(found)[1, 2].tolist() == opened(found)[0, 0].tolist() == [255, 0, 255]
    assert opened(found)[3, 3].tolist() == [128, 128, 128]
    assert none.fields["nonfinite"] == 4


def test_a_list_is_a_batch(run):
    run.log({"two": [unbug.Image(GREY, caption="a"), unbug.Image(COLOR, caption="b")]})
    run.log({"many": [PIL.Image.fromarray(GREY)] * 30})
    items = kept(run)
    two = [item for item in items if item.name == "two"]
    assert [(item.index, item.fields["of"], item.caption) for item in two] == [(0, 2, "a"), (1, 2, "b")]
    many = [item for item in items if item.name == "many"]
    assert [(item.index, item.fields["of"]) for item in many] == [(index, 30) for index in range(16)]


def test_the_value_is_taken_at_the_call(run):
    image, text = np.zeros((4, 4), np.uint8), torch.zeros(10)
    run.log({"image": unbug.Image(image), "histogram": unbug.Histogram(text)})
    image[:], text[:] = 255, 9
    found = {item.name: item for item in kept(run)}
    assert opened(found["image"]).max() == 0
    assert max(found["histogram"].json()["edges"]) <= 1


def test_large_ones_are_made_smaller_and_say_so(run):
    run.log({"image": unbug.Image(np.zeros((5000, 10), np.uint8)), "text": unbug.Text("x" * 1_100_000)})
    image, text = kept(run)
    assert (image.fields["height"], image.fields["every"]) == (5000, 3)
    assert opened(image).shape[0] == 1667
    assert (text.fields["characters"], text.fields["kept_characters"]) == (1_100_000, 1_000_000)


@pytest.mark.slow
def test_a_gigabyte_is_sampled(run):
    huge = np.zeros(125_000_000)
    huge[::2] = 1.0
    run.log({"histogram": unbug.Histogram(huge), "image": unbug.Image(huge.reshape(10_000, 12_500))})
    histogram, image = kept(run)
    assert (histogram.fields["elements"], histogram.fields["every"]) == (125_000_000, 125)
    assert sum(histogram.json()["counts"]) == 1_000_000
    assert opened(image).shape[:2] == (1429, 1786)


def test_texts_keep_no_secrets(run):
    secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    run.log({"text": unbug.Text(f"token {secret} 漢字\ud800"), "table": unbug.Table([{"key": secret}])})
    text, table = kept(run)
    assert secret not in text.text() + table.text() + json.dumps(dict(text.fields))
    assert "漢字" in text.text()


@pytest.mark.parametrize(("data", "channels"), SOUNDS.values(), ids=SOUNDS)
def test_sounds(gallery, request, data, channels):
    (item,) = gallery[f"sound {request.node.callspec.id}"]
    with wave.open(io.BytesIO(item.data())) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, channels, 800)
    assert item.fields["duration_s"] == 0.1
    plain = np.asarray(data, float).reshape(800, channels) if channels == 1 else np.zeros((800, 2))
    if np.asarray(data).dtype == np.int16:
        plain = plain / 32767
    assert np.abs(item.array() - plain).max() < 1e-4


def test_a_sound_that_is_too_loud_or_not_finite(run):
    run.log({"sound": unbug.Audio(np.array([0.0, 2.0, np.nan, -1.0]), 8000)})
    (item,) = kept(run)
    assert item.fields["scaled_by"] == 0.5 and item.fields["nonfinite"] == 1
    assert item.array()[:, 0].round(3).tolist() == [0.0, 1.0, 0.0, -0.5]


@pytest.mark.parametrize(("given_", "columns"), TABLES.values(), ids=TABLES)
def test_tables(gallery, request, given_, columns):
    (item,) = gallery[f"table {request.node.callspec.id}"]
    assert item.kind == "table"
    assert item.json() == columns


def test_a_long_table_is_cut_and_says_so(run):
    run.log({"table": unbug.Table(pd.DataFrame(np.zeros((20_000, 300))))})
    (item,) = kept(run)
    assert (item.fields["rows"], item.fields["kept_rows"]) == (20_000, 781)
    assert (item.fields["columns"], item.fields["kept_columns"]) == (300, 256)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.float64, st.integers(1, 200), elements=st.floats(allow_nan=True, allow_infinity=True))
)
def test_histograms_count_every_finite_number(values):
    (piece,) = unbug.Histogram(values, bins=16).pieces
    data, found = piece.encode(str)
    made = json.loads(data)
    assert sum(made["counts"]) + found["nonfinite"] == values.size
    assert all(math.isfinite(edge) for edge in made["edges"])


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.uint16, np.int64, np.uint64, bool]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    )
)
def test_no_numbers_are_too_strange_to_be_drawn_or_heard(values):
    for made in (unbug.Image(values), unbug.Audio(values.reshape(-1), 8000), unbug.Histogram(values)):
        for piece in made.pieces:
            data, found = piece.encode(str)
            assert data
            json.dumps({**piece.fields, **found})
    (piece,) = unbug.Image(values).pieces
    with PIL.Image.open(io.BytesIO(piece.encode(str)[0])) as image:
        assert (image.height, image.width) == values.shape


def test_a_histogram_that_is_counted_already(run):
    run.log({"histogram": unbug.Histogram(counts=[1, 2], edges=[0, 1, 2])})
    assert kept(run)[0].json() == {"counts": [1, 2], "edges": [0, 1, 2]}


def test_figures(run):
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(3, 2), dpi=50)
    drawn.subplots().plot([1, 2, 3])
    described = plotly.graph_objects.Figure(data=[{"type": "scatter", "y": [1, 2, 3]}])
    run.log({"drawn": drawn, "described": described, "said": unbug.Figure(drawn, caption="c", dots=50)})
    found = {item.name: item for item in kept(run)}
    assert opened(found["drawn"]).shape[1] > opened(found["said"]).shape[1] > 100
    assert found["described"].json()["data"][0]["type"] == "scatter"
    assert found["said"].caption == "c"
    with pytest.raises(UsageError, match="which is no array"):
        found["drawn"].array()


REFUSED = {
    "five axes": (
        lambda: unbug.Image(np.zeros((1, 2, 3, 4, 5))),
        r"of ndarray of shape \(1, 2, 3, 4, 5\): it has 5 axes",
    ),
    "no channels": (lambda: unbug.Image(np.zeros((5, 6, 7))), "no axis of it can be channels; give HW, HWC"),
    "two channels": (lambda: unbug.Image(np.zeros((5, 6, 2)), layout="HWC"), "it has 2 channels"),
    "layout of others": (lambda: unbug.Image(np.zeros((5, 6)), layout="HWC"), "layout HWC has 3 axes"),
    "no layout": (lambda: unbug.Image(np.zeros((5, 6)), layout="WH"), "there is no such layout"),
    "objects": (lambda: unbug.Image(np.array([[object()]])), "its elements are objects"),
    "complex": (lambda: unbug.Image(np.zeros((2, 2), complex)), "its elements are complex128"),
    "texts": (lambda: unbug.Image("picture.png"), "its elements are <U11"),
    "ragged": (lambda: unbug.Image([[1], [1, 2]]), "it is no array"),
    "empty": (lambda: unbug.Image(np.zeros((0, 3))), "it is empty"),
    "none": (lambda: unbug.Image(None), "its elements are objects"),
    "number as text": (lambda: unbug.Text(5), "it is no text"),
    "no rate": (lambda: unbug.Audio(np.zeros(4), 0), "it is no rate"),
    "nine channels": (lambda: unbug.Audio(np.zeros((9, 9)), 8000), "it is no sound"),
    "unequal columns": (lambda: unbug.Table({"a": [1], "b": [1, 2]}), "unequal lengths"),
    "no table": (lambda: unbug.Table(5), "it is no table"),
    "rows without names": (lambda: unbug.Table([[1, 2]]), "neither mappings nor lists"),
    "no histogram": (lambda: unbug.Histogram(), "it needs data"),
    "edges": (lambda: unbug.Histogram(counts=[1], edges=[1]), "they do not fit"),
    "bins": (lambda: unbug.Histogram([1.0], bins=0), "no number of bins"),
    "no figure": (lambda: unbug.Figure(5), "it is no figure"),
}


@pytest.mark.parametrize(("make", "says"), REFUSED.values(), ids=REFUSED)
def test_refused_in_words(make, says):
    with pytest.raises(MediaError, match=says) as told:
        make()
    assert isinstance(told.value, UsageError | ValueError)
    assert str(told.value).startswith("cannot make an unbug.")


def test_what_could_be_several_things_is_not_guessed(run):
    for value in ("text", np.zeros((4, 4)), torch.zeros(3, 4, 4), [1, 2], [unbug.Text("a"), 1], []):
        with pytest.raises(ValueNotLoggableError, match=r"`unbug\.Image`, `Histogram`"):
            run.log({"value": value})


def test_all_of_a_call_or_nothing(run):
    with pytest.raises(ValueNotLoggableError):
        run.log({"image": unbug.Image(GREY), "number": 1.0, "bad": object()})
    run.log({"image": unbug.Image(GREY), "number": 2.0})
    assert len(kept(run)) == 1
    with unbug.open(run.path) as view:
        assert view.read("number").values.tolist() == [2.0]


def test_the_step_is_the_trainings(run):
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(6):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        if step % 2:
            run.log({"weights": unbug.Image(model.weight)})
    assert [(item.training, item.step) for item in kept(run)] == [(0, 1), (0, 3), (0, 5)]


def test_the_budget_is_kept_and_what_was_thinned_is_said(tmp_path):
    with unbug.run(dir=tmp_path, name="small", quiet=True, disk=100_000, strict=True) as run:
        noise = np.random.default_rng(0)
        for _ in range(30):
            run.log({"noise": unbug.Image(noise.integers(0, 256, (40, 40), dtype=np.uint8))})
        drained(run)
    with unbug.open(run.path) as view:
        items = view.media()
        there = [item for item in items if item.kept]
        assert len(items) == 30 and 3 < len(there) < 20 and items[-1].kept
        assert sum(item.size_bytes for item in there) <= 25_000
        (said,) = (text for text in view.events("coverage")[-1].fields["unseen"] if "media" in text)
        assert f"{30 - len(there)} of 30 media were thinned out" in said
        gone = next(item for item in items if not item.kept)
        with pytest.raises(StoreError, match="is not there any more"):
            gone.data()
        table = view.table("media").to_pylist()
        assert [row["kept"] for row in table] == [item.kept for item in items]


def test_more_than_can_be_written_is_counted(run, monkeypatch):
    monkeypatch.setattr(medialog, "WAITING_BYTES", 1000)
    for _ in range(5):
        run.log({"image": unbug.Image(np.zeros((20, 30), np.uint8))})
    recording = run._recording
    assert len(kept(run)) >= 1
    assert "came faster than they could be written" in recording.media.in_words()[0]


def test_a_folder_that_is_gone_stops_nothing(tmp_path, capfd):
    with unbug.run(dir=tmp_path, name="gone", quiet=True) as run:
        (run.path / "media").write_text("in the way")
        run.log({"image": unbug.Image(GREY)})
    with unbug.open(run.path) as view:
        assert view.media() == ()
        assert any("could not be written" in text for text in view.events("coverage")[-1].fields["unseen"])


@pytest.mark.parametrize("damage", ["content", "name", "link"])
def test_a_file_that_is_not_what_was_written_is_refused(run, damage, tmp_path):
    run.log({"image": unbug.Image(GREY)})
    (item,) = kept(run)
    file = run.path / "media" / item.file
    if damage == "content":
        file.write_bytes(b"<svg onload=alert(1)>")
        with pytest.raises(StoreError, match="is damaged"):
            item.data()
    elif damage == "link":
        (tmp_path / "secret").write_text("secret")
        file.unlink()
        os.symlink(tmp_path / "secret", file)
        with pytest.raises(StoreError):
            item.data()
    else:
        from dataclasses import replace

        for name in ("../run.json", "/etc/passwd", "x.svg", item.file + ".html", ""):
            with pytest.raises(StoreError, match="is no file of a run"):
                replace(item, file=name).data()


def test_html_is_escaped(run):
    run.log(
        {
            "<script>": unbug.Text("<img onerror=x>", caption="<b>"),
            "i": unbug.Image(GREY, caption='"><script>'),
        }
    )
    for item in kept(run):
        html = item._repr_html_()
        assert "<script" not in html and "<b>" not in html and "<img onerror" not in html


def test_what_sits_in_a_table_for_sql(run):
    run.log({"image": unbug.Image(GREY, caption="c"), "text": unbug.Text("hello")}, step=3)
    run.close()
    with unbug.open(run.path) as view:
        rows = view.sql(
            "select name, media, caption, user_step, preview, facts->>'$.width' w from media order by name"
        )
        assert rows.to_pylist() == [
            {"name": "image", "media": "image", "caption": "c", "user_step": 3.0, "preview": None, "w": "8"},
            {"name": "text", "media": "text", "caption": "", "user_step": 3.0, "preview": "hello", "w": None},
        ]


def test_switched_off_it_takes_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBUG", "0")
    with unbug.run(dir=tmp_path) as run:
        run.log({"image": unbug.Image(GREY)})
    assert list(tmp_path.iterdir()) == []


def test_a_child_process_logs_into_the_run(place):
    place.recorded("""
        import subprocess, sys
        subprocess.run([sys.executable, "child.py"], check=True)
    """) if place.write(
        """
        import torch, unbug
        with unbug.run() as run:
            run.log({"of the child": unbug.Image(torch.eye(4))})
    """,
        "child.py",
    ) else None
    with place.open() as view:
        (item,) = view.media()
        assert item.name == "of the child" and opened(item).shape == (4, 4, 1)


def test_a_packed_run_has_its_media(run, tmp_path):
    from unbug.store import pack_run

    run.log({"image": unbug.Image(GREY), "text": unbug.Text("hello")})
    run.close()
    pack_run(run.path, tmp_path / "run.unbug")
    with unbug.open(tmp_path / "run.unbug") as view:
        image, text = view.media()
        assert image.kept and opened(image).shape == (6, 8, 1)
        assert text.text() == "hello"
