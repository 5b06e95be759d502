"""Ablations: what is trained and measured, what is skipped, and which orderings the page says hold."""

import json
import random
import statistics
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import EncoderWords, Evaluator, EvaluatorSettings, FrozenEvaluator
from kmm_core.evaluate.starter_set import starter_set
from kmm_core.timeline import Timeline
from tests.letter_encoder import LetterEncoder
from tests.training.made_up_clips import write_made_up_clips
from training import ablate, ablation_page, ablation_scores, cli, config, runs
from training.ablate import Run
from training.ablation_scores import METRICS, Ruler
from training.evaluate import load_model
from training.recipes.synthetic import make_clip


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> config.RunSettings:
    prepared = write_made_up_clips(tmp_path_factory.mktemp("prepared"), each=3)
    loaded = config.load("tiny", [f"data.prepared={prepared}", "tokenizer.width=16"])
    small = [
        *("generator.d_model=32", "generator.layers=1", "text.width=16", "aligner.width=16"),
        *("rows.compositions=40", "sampling.steps=1"),
    ]
    how = replace(
        loaded.train.generator, steps=2, batch_size=4, warmup_steps=1, validate_every=2, checkpoint_every=2
    )
    return replace(config.override(loaded, small), train=config.StageSettings(how, how, how, how))


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    """A run with a tokenizer, the ablation's folder, and the ruler."""
    torch.set_num_threads(1)
    run, folder = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("ablation")
    runs.train_tokenizer(settings, run, resume=True)
    sizes = EvaluatorSettings(movement_width=8, motion_width=8, text_width=8, width=4)
    evaluator = FrozenEvaluator(Evaluator(272, LetterEncoder.width, sizes), EncoderWords(LetterEncoder()))
    data = starter_set(settings.data.prepared)
    return run, folder, Ruler(evaluator, data, clips=32, timelines=8, sides=4)


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    for module in ("ablate", "export"):
        monkeypatch.setattr(f"training.{module}.load_text_encoder", lambda settings: LetterEncoder())


def start(settings, trained, **options):
    run, folder, ruler = trained
    told = []
    options = {"ruler_key": "mine", "seeds": (3,), "variants": ("default",), **options}
    done = ablate.ablate(
        settings, folder, tokenizer_from=run, ruler=lambda: ruler, note=told.append, **options
    )
    return done, told


def test_runs_are_trained_measured_and_then_skipped(settings, trained, monkeypatch):
    _, folder, _ = trained
    names = ("default", "confidence-masks", "frozen-text", "sentence-token")
    done, told = start(settings, trained, variants=names)
    assert done and [line.split(",")[0] for line in told] == list(names)
    found = ablate.read_runs(folder, "mine")
    assert [run.variant for run in found] == list(names) and {run.seed for run in found} == {3}
    for run in found:
        # One clip names a side; the benchmark needs two, and gets it again and again.
        assert set(run.scores) == set(METRICS) and np.isfinite(list(run.scores.values())).all()
    assert len(list(folder.glob("rows-*"))) == 1  # shared by all
    kept = runs.settings_of_stage(folder / "frozen-text" / "seed-3")
    assert kept.text.layers == 0 and kept.text.width == LetterEncoder.width
    assert kept.train.generator.seed == 3 and kept.masking.strategy == "key_frame"

    monkeypatch.setattr(ablate, "measure", None)
    monkeypatch.setattr(runs.generator_stage, "build", None)
    assert start(settings, trained, variants=names) == (True, told)


def test_another_ruler_measures_again_and_other_settings_are_refused(settings, trained, monkeypatch):
    _, folder, _ = trained
    start(settings, trained, variants=("default", "frozen-text"))
    monkeypatch.setattr(ablate, "measure", lambda *_: {"fid": 7.0})
    _, told = start(settings, trained, ruler_key="other")
    assert told == ["default, seed 3: fid 7"]
    # A page shows what one ruler measured.
    assert [run.scores for run in ablate.read_runs(folder, "other")] == [{"fid": 7.0}]
    assert "default" not in {run.variant for run in ablate.read_runs(folder, "mine")}
    with pytest.raises(KmmError, match="trained with other settings"):
        start(config.override(settings, ["generator.d_model=64"]), trained)
    monkeypatch.setattr(ablate, "data_now", lambda settings: "clips that were prepared since")
    with pytest.raises(KmmError, match="trained on other clips than .* holds now"):
        start(settings, trained)


def test_a_run_of_the_ablation_generates_by_itself(settings, trained):
    _, folder, _ = trained
    start(settings, trained, variants=("frozen-text",))  # skipped where another test has trained it
    name, pipeline = load_model(str(folder / "frozen-text" / "seed-3"), "cpu")
    assert name == "frozen-text"
    assert load_model(str(folder / "frozen-text" / "seed-3" / "last.safetensors"), "cpu")[0] == name
    assert pipeline.generate(Timeline.from_seconds(30, [("walk", 2)])).clips[0].num_frames == 60


def test_unknown_variants_and_empty_folders_are_named(settings, trained, tmp_path):
    with pytest.raises(KmmError, match="No variant is called nothing.*sentence-token"):
        start(settings, trained, variants=("default", "nothing"))
    with pytest.raises(KmmError, match="holds no measured run"):
        ablate.read_runs(tmp_path, "mine")
    broken = tmp_path / "default" / "seed-0" / ablate.SCORES_FILE
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    with pytest.raises(KmmError, match="holds no scores") as raised:
        ablate.read_runs(tmp_path, "mine")
    assert raised.value.code == "bad_ablation"


def test_clips_too_short_to_ask_for_are_told(trained):
    _, _, ruler = trained
    short = ruler.data.with_clips([replace(clip, features=clip.features[:20]) for clip in ruler.data.clips])
    with pytest.raises(KmmError, match="None of the .* held-out clips lasts 1 s"):
        ablation_scores._asked(replace(ruler, data=short), 32)


@pytest.mark.parametrize("lost", [0, 1])
def test_the_parts_of_timelines_are_as_long_as_asked(lost):
    """And a frame longer where features (263) lose one."""

    def generate(timeline, *, seed):
        return SimpleNamespace(
            clips=[make_clip("walk", "none", "none", random.Random(0)).resample(30.0, timeline.num_frames)]
        )

    frames = [40, 50, 60, 70, 44]
    made = ablation_scores.in_timelines(SimpleNamespace(generate=generate), ["a"] * 5, frames, 30.0, 0, lost)
    assert [clip.num_frames for clip in made] == [count + lost for count in frames]


def test_the_token_loss_is_measured_alike_for_all(settings, trained):
    """A generator that always says code 0 restores as many tokens as are 0."""
    run, folder, _ = trained
    start(settings, trained)
    rows = runs.generator_rows(settings, runs.load_tokenizer(run), LetterEncoder(), folder)
    batches = ablate.validation_batches(rows)
    settings = runs.settings_of_stage(folder / "default" / "seed-3")
    bundle = ablate.load_generator(
        settings, runs.load_tokenizer(run), folder / "default" / "seed-3" / "last.safetensors"
    )
    bundle.generator.head.weight.data.zero_()
    bundle.generator.head.bias.data.zero_()
    bundle.generator.head.bias.data[0] = 50.0
    tokens = torch.cat([row.tokens[:, 0] for row in rows.held_out])
    found = ablation_scores.restoration(bundle, batches)
    assert found["restored"] == pytest.approx(float((tokens == 0).float().mean()), abs=0.05)
    assert found["cross_entropy"] == pytest.approx(50 * (1 - found["restored"]), rel=0.02, abs=0.02)


def made_up(**values) -> list[Run]:
    """Runs with one score: variant=[value of each seed]."""
    return [
        Run(name.replace("_", "-"), seed, 1_000_000, "2 steps", {"fid": value, "restored": -value})
        for name, row in values.items()
        for seed, value in enumerate(row)
    ]


def test_an_ordering_holds_beyond_one_pooled_sd():
    found = ablation_page.orderings(
        made_up(
            default=[1.0, 1.2, 1.4],
            random_masks=[2.0, 2.2, 2.4],
            no_alignment=[1.3, 1.5, 1.1],
            mamba_1=[0.1, 0.2, 0.3],
            frozen_text=[9.0],
        )
    )
    verdicts = {(item.worse, item.metric): item.verdict for item in found}
    for metric in ("fid", "restored"):  # less is better in one, more in the other
        assert verdicts["random-masks", metric] == "holds"
        assert verdicts["no-alignment", metric] == "open"
        assert verdicts["mamba-1", metric] == "reversed"
        assert verdicts["frozen-text", metric] == "open"  # one seed has no spread
    first = next(item for item in found if (item.worse, item.metric) == ("random-masks", "fid"))
    spread = [statistics.pstdev([1.0, 1.2, 1.4]), statistics.pstdev([2.0, 2.2, 2.4])]
    assert first.pooled_sd == pytest.approx(np.sqrt(np.mean(np.square(spread)) * 3 / 2))
    assert first.gain == pytest.approx(1.0)


def test_the_page_shows_table_plot_and_verdicts(tmp_path):
    found = made_up(default=[1.0, 1.2], random_masks=[2.0, 2.2], transformer=[0.5, 0.6])
    page = ablation_page.write_page(found, tmp_path / "docs" / "benchmarks", tmp_path / "docs" / "images")
    text = page.read_text()
    assert (
        page.name == "ablation_table.md"
        and "![Every run of the ablation](../images/ablation_table.png)" in text
    )
    assert (tmp_path / "docs" / "images" / "ablation_table.png").stat().st_size > 5000
    row = next(line for line in text.splitlines() if line.startswith("| random masks |"))
    assert row.startswith("| random masks | 2 | 1.00 M |") and "| 2.1 ± 0.14 |" in row
    assert "* Key-frame masks over random masks: holds in 2 of 2 figures (tokens restored, FID)." in text
    assert "* Mamba-2 over Transformer: reversed in 2 of 2 figures" in text
    content = json.loads(page.with_suffix(".json").read_text())
    assert len(content["runs"]) == 6 and content["runs"][0]["scores"]["fid"] == 1.0


def test_a_page_of_masks_at_the_published_ratio_has_its_own_name(tmp_path):
    found = made_up(default=[1.0, 1.2], key_frame_30=[3.0, 3.1], random_30=[2.0, 2.2])
    text = ablation_page.write_page(found, tmp_path, tmp_path, "masks", "Masks alone").read_text()
    assert (
        text.startswith("# Masks alone\n") and "(masks.png)" in text and (tmp_path / "masks.json").is_file()
    )
    assert (
        "* Key-frame masks, always 30 % (as published) over random masks, always 30 %: reversed in 2" in text
    )
    assert "* Key-frame masks at the ratios of the schedule over key-frame masks, always 30 %" in text


@pytest.mark.parametrize("seeds", ["", "a", "0,,1", "-1"])
def test_seeds_that_are_none_are_named(seeds, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(
            ["ablate", "tiny", "--tokenizer-from", "x", "--evaluator", "x", "--run", "x", f"--seeds={seeds}"]
        )
    assert ended.value.code == 1 and "is not a list of whole numbers" in capsys.readouterr().err


def test_a_missing_evaluator_is_named_before_any_training(tmp_path, capsys):
    arguments = [
        "--tokenizer-from",
        str(tmp_path),
        "--run",
        str(tmp_path),
        "--evaluator",
        str(tmp_path / "no"),
    ]
    with pytest.raises(SystemExit):
        cli.main(["ablate", "tiny", *arguments])
    assert "Train one: kmm-train evaluator" in capsys.readouterr().err


def test_a_tokenizer_comes_from_a_bundle_or_is_missed(tmp_path):
    assert runs.tokenizer_of("starter").num_features == 272
    with pytest.raises(KmmError) as raised:
        runs.tokenizer_of(tmp_path)
    assert raised.value.code == "bundle_missing"
