"""``kmm-train decay``: what is measured of models whose features lose a frame."""

import random
from types import SimpleNamespace

import pytest

from kmm_core.evaluate.decay import Asked, DecayPlan
from kmm_core.evaluate.evaluation_set import EvaluationClip, EvaluationSet
from kmm_core.motion.representation import representation
from training import run_decay as module
from training.recipes.synthetic import make_clip


@pytest.mark.parametrize(("name", "fps"), [("272", 30.0), ("263", 20.0)])
def test_parts_have_as_many_rows_as_the_recordings(name, fps, tmp_path, monkeypatch):
    form, walk = representation(name), make_clip("walk", "none", "none", random.Random(0))
    clip = EvaluationClip("a", form.encode(walk.resample(fps)), ("walks",), ("walks",), "a")
    data = EvaluationSet("starter", name, fps, [clip], list, form.encode, form.decode)

    def generate(timeline, *, seed):
        return SimpleNamespace(clips=[walk.resample(timeline.fps, timeline.num_frames)])

    pipeline = SimpleNamespace(
        generate=generate, representation=form, bundle=SimpleNamespace(encoder=None), device="cpu"
    )
    monkeypatch.setattr(module, "load_model", lambda given, device: (given, pipeline))
    monkeypatch.setattr(module, "load_evaluator", lambda *_: None)
    monkeypatch.setattr(module, "named_on_pages", lambda path: "none")
    monkeypatch.setattr(module, "evaluation_data", lambda *_, **__: data)
    monkeypatch.setattr(module, "measure_decay", lambda methods, *_: methods)
    monkeypatch.setattr(module, "write_decay", lambda methods, *_, **__: methods)
    out = {"evaluator": tmp_path, "folder": tmp_path, "out": tmp_path, "images": tmp_path}
    methods = module.run_decay("mine", baseline="other", plan=DecayPlan(), **out)
    said = ("walks",) * 3
    asked = Asked(said, said, (40, 44, 48), said, tuple(clip.features[:count] for count in (40, 44, 48)))
    assert len(methods) == 4
    for what, method in methods.items():
        rows = [len(data.encode(part)) for part in method.make(asked, 0)]
        assert rows[:2] == [40, 44] if what != "recordings, joined" else len(rows) == 3, what
        assert rows[2] == 48 or what == "recordings, joined"
