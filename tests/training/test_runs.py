"""Both real stages on made-up clips: kill -9 and resume, what a finished run does, export, sample.

Run as a script it trains one stage of such a run and kills itself, for the test of that.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kmm_core.bundle import load_bundle, read_config
from kmm_core.errors import KmmError
from kmm_core.formats.npz import read_npz
from kmm_core.train import checkpoint
from kmm_core.train.generator_stage import LearningSettings
from kmm_core.train.prepared import read_manifest, write_manifest
from tests.letter_encoder import LetterEncoder
from tests.training.made_up_clips import write_made_up_clips
from training import cli, config, runs


def tiny_settings(prepared: Path) -> config.RunSettings:
    settings = config.load(
        "tiny", [f"data.prepared={prepared}", "tokenizer.width=16", "generator.d_model=32"]
    )
    how = replace(
        settings.train.tokenizer,
        steps=8,
        batch_size=4,
        warmup_steps=2,
        validate_every=8,
        checkpoint_every=3,
        log_every=3,
    )
    return replace(
        settings,
        rows=replace(settings.rows, compositions=4),
        train=config.StageSettings(how, how, how, replace(how, learning_rate=0.01)),
    )


def train_stage(stage: str, prepared: Path, run: Path, *, kill_at_batch: int | None = None):
    """Train one stage on one thread, with the encoder above."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = {"tokenizer": runs.tokenizer_stage, "generator": runs.generator_stage}[stage]
    original, drawn = module.build, []

    def build(*arguments, **options):
        stage = original(*arguments, **options)
        make_batch = stage.make_batch

        def count_and_kill(rng, size):
            drawn.append(size)
            if len(drawn) == kill_at_batch:
                os.kill(os.getpid(), signal.SIGKILL)
            return make_batch(rng, size)

        stage.make_batch = count_and_kill
        return stage

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "build", build)
        patch.setattr(runs, "load_text_encoder", lambda settings: LetterEncoder())
        start = {"tokenizer": runs.train_tokenizer, "generator": runs.train_generator}[stage]
        return start(tiny_settings(prepared), run, resume=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_made_up_clips(tmp_path_factory.mktemp("prepared"), each=3, said="a person does ")


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A run with both stages done."""
    run = tmp_path_factory.mktemp("run")
    return run, {stage: train_stage(stage, prepared, run) for stage in ("tokenizer", "generator")}


@pytest.mark.parametrize("stage", ["tokenizer", "generator"])
def test_killed_and_resumed_equals_unbroken(trained, prepared, tmp_path, stage):
    run, results = trained
    if stage == "generator":
        (tmp_path / "tokenizer").symlink_to(run / "tokenizer")
    killed = subprocess.run(
        [sys.executable, __file__, stage, str(prepared), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoint.load(tmp_path / stage / "last.safetensors").info["step"] == 3
    resumed = train_stage(stage, prepared, tmp_path)
    assert resumed.metrics == results[stage].metrics
    one, other = checkpoint.load(results[stage].last).groups, checkpoint.load(resumed.last).groups
    for group in ("model", "ema", "optimizer"):
        assert one[group].keys() == other[group].keys() and one[group]
        for name, tensor in one[group].items():
            assert torch.equal(tensor, other[group][name]), f"{group}/{name}"


def test_data_prepared_anew_get_other_token_rows(trained, prepared, tmp_path):
    folder = tmp_path / "prepared" / "synthetic"
    shutil.copytree(prepared / "synthetic", folder)
    settings, tokenizer = tiny_settings(tmp_path / "prepared"), runs.load_tokenizer(trained[0])

    def said() -> set[str]:
        rows = runs.generator_rows(settings, tokenizer, LetterEncoder(), tmp_path)
        return {caption for row in rows.train for prompt in row.prompts for caption in prompt.captions}

    assert "a person does squat both" in said()
    rests = ("a person rests",)
    clips = [replace(clip, captions=rests, mirrored_captions=rests) for clip in read_manifest(folder)]
    write_manifest(folder, clips)
    [before] = tmp_path.glob("rows-*")
    (tmp_path / "rows-of-mine").mkdir()
    assert said() == set(rests)
    # Those from before are removed, and nothing else.
    assert not before.exists() and len(list(tmp_path.glob("rows-*"))) == 2


def test_a_finished_stage_is_not_built_again(trained, prepared, monkeypatch):
    run, results = trained
    monkeypatch.setattr(runs.tokenizer_stage, "build", None)
    again = runs.train_tokenizer(tiny_settings(prepared), run, resume=True)
    assert again == results["tokenizer"]


def test_a_finished_stage_of_other_clips_says_so(trained, prepared, capsys):
    """Somebody corrects captions, prepares again, and runs the same command."""
    assert train_stage("generator", prepared, trained[0]).finished and not capsys.readouterr().err
    manifest = prepared / "synthetic" / "manifest.jsonl"
    before = manifest.read_bytes()
    manifest.write_bytes(before.replace(b"a person does", b"somebody does"))
    try:
        assert train_stage("generator", prepared, trained[0]).finished
        assert "data.prepared, whose clips are others by now. Delete it" in capsys.readouterr().err
        manifest.unlink()  # trained on another machine: nothing to compare
        assert train_stage("generator", prepared, trained[0]).finished and not capsys.readouterr().err
    finally:
        manifest.write_bytes(before)


def test_a_finished_stage_that_was_trained_with_other_settings_says_so(
    trained, prepared, monkeypatch, capsys
):
    monkeypatch.setattr(runs, "load_text_encoder", lambda settings: LetterEncoder())
    run, results = trained
    settings = tiny_settings(prepared)
    other = replace(
        settings,
        masking=replace(settings.masking, strategy="random"),
        sampling=replace(settings.sampling, steps=3),  # of the export alone
        train=replace(settings.train, generator=replace(settings.train.generator, seed=7, log_every=1)),
    )
    for train in (runs.train_tokenizer, runs.train_generator):
        assert train(settings, run, resume=True).finished
        assert capsys.readouterr().err == ""
    assert runs.train_tokenizer(other, run, resume=True) == results["tokenizer"]
    assert capsys.readouterr().err == ""  # none of these is the tokenizer's
    assert runs.train_generator(other, run, resume=True) == results["generator"]
    said = capsys.readouterr().err
    assert f"{run / 'generator'} is finished and stays as it is" in said
    was = settings.masking.strategy
    assert f": masking.strategy={was}, now random, train.generator.seed=0, now 7. Delete it" in said


def test_the_residual_stage_goes_on_with_the_residual_codebooks_alone(
    trained, prepared, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    monkeypatch.setattr(runs, "load_text_encoder", lambda settings: LetterEncoder())
    assert runs.generator_checkpoint(run) == run / "generator" / "best.safetensors"
    result = runs.train_residual(tiny_settings(prepared), run, resume=True)
    assert runs.generator_checkpoint(run) == run / "residual" / "best.safetensors"
    before = checkpoint.load(run / "generator" / "best.safetensors").weights
    after = checkpoint.load(result.best).weights
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("generator.residual.") for name in changed)

    monkeypatch.setattr("training.export.load_text_encoder", lambda settings: LetterEncoder())
    cli.export(run, tmp_path / "bundle")
    assert "is not in it" not in capsys.readouterr().out
    step = checkpoint.load(result.best, groups=()).info["step"]
    assert f"## Validation, residual step {step}\n" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()

    # A generator that was trained on since has residual codebooks of its own.
    state = checkpoint.load(run / "generator" / "best.safetensors")
    checkpoint.save(
        run / "generator" / "best.safetensors", state.groups, {**state.info, "step": state.info["step"] + 1}
    )
    assert runs.generator_checkpoint(run) == run / "generator" / "best.safetensors"
    with pytest.raises(
        KmmError, match="trained on a generator other than the one now in .*generator"
    ) as caught:
        runs.train_residual(tiny_settings(prepared), run, resume=True)
    assert caught.value.code == "stage_outdated" and f"Delete {run / 'residual'}" in caught.value.hint
    cli.export(run, tmp_path / "bundle")
    assert f"{run / 'residual'} was trained on another generator and is not in it" in capsys.readouterr().out


def test_a_generator_is_not_used_with_the_codes_of_another_tokenizer(
    trained, prepared, tmp_path, monkeypatch
):
    from training import export

    for module in ("training.export", "training.runs"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    run, settings = tmp_path / "run", tiny_settings(prepared)
    shutil.copytree(trained[0], run)
    codes = runs.load_tokenizer(run).quantizer.codes()
    # A decoder that follows on a generator keeps the codes that this has learned.
    runs.train_decoder(settings, run, resume=True)
    assert torch.equal(runs.load_tokenizer(run).quantizer.codes(), codes)
    export.export_bundle(run, tmp_path / "bundle")
    # The tokenizer is trained on.
    path = run / "tokenizer" / "best.safetensors"
    state = checkpoint.load(path)
    state.weights["tokenizer.quantizer.codebooks.0.codes"] += 1
    checkpoint.save(path, state.groups, state.info)
    with pytest.raises(KmmError, match="a tokenizer other than the one now in .*tokenizer") as caught:
        runs.train_decoder(settings, run, resume=True)
    assert caught.value.code == "stage_outdated" and f"Delete {run / 'decoder'}" in caught.value.hint
    shutil.rmtree(run / "decoder")
    for use in (
        lambda: runs.train_generator(settings, run, resume=True),
        lambda: runs.train_residual(settings, run, resume=True),
        lambda: export.export_bundle(run, tmp_path / "bundle"),
    ):
        with pytest.raises(
            KmmError, match="codes of a tokenizer other than the one now in the run"
        ) as caught:
            use()
        assert caught.value.code == "stage_outdated"


def test_a_generator_may_start_with_another_ones_weights(trained, prepared, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(trained[0] / "tokenizer", run / "tokenizer")
    monkeypatch.setattr(runs, "load_text_encoder", lambda settings: LetterEncoder())
    start = trained[1]["generator"].best
    settings = tiny_settings(prepared)
    slow = replace(settings.train.generator, steps=1, learning_rate=1e-9, ema_decay=0.0)
    settings = replace(settings, generator_start=str(start), train=replace(settings.train, generator=slow))
    weights = checkpoint.load(runs.train_generator(settings, run, resume=True).best).weights
    before = checkpoint.load(start).weights
    # What was said of the start's clips stays familiar, and so is what is said of these, here the same.
    assert ((before["familiar"] @ weights["familiar"].T).amax(-1) > 0.99).tolist() == before["familiar"].any(
        -1
    ).tolist()
    for name in before.keys() - {"familiar"}:
        torch.testing.assert_close(weights[name], before[name], rtol=0, atol=1e-6)


def test_guidance_is_distilled_from_the_start_and_resumed(trained, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "load_text_encoder", lambda settings: LetterEncoder())
    settings = tiny_settings(prepared)
    settings = replace(settings, learning=LearningSettings(0.5, 2.0))
    with pytest.raises(KmmError, match="generator_start is empty") as caught:
        runs.train_generator(settings, trained[0], resume=True)
    assert "distil_guidance at 0" in caught.value.hint

    settings = replace(settings, generator_start=str(trained[1]["generator"].best))
    how = replace(settings.train.generator, steps=4, checkpoint_every=2, ema_decay=0.0)
    ends = []
    for name, parts in (("whole", [4]), ("resumed", [2, 4])):
        run = tmp_path / name
        shutil.copytree(trained[0] / "tokenizer", run / "tokenizer")
        for steps in parts:
            part = replace(
                settings, train=replace(settings.train, generator=replace(how, steps=steps, decay="constant"))
            )
            result = runs.train_generator(part, run, resume=True)
        rows = [json.loads(line) for line in (run / "generator" / "metrics.jsonl").read_text().splitlines()]
        assert any("train/distilled" in row for row in rows)
        ends.append(checkpoint.load(result.last).weights)
    assert ends[0].keys() == ends[1].keys() and not any("teacher" in name for name in ends[0])
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=0, atol=0)


def test_a_bundle_is_trained_further(trained, prepared, tmp_path, monkeypatch):
    from training import export

    for module in ("training.export", "training.runs", "kmm_core.bundle"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    folder = str(export.export_bundle(trained[0], tmp_path / "bundle"))
    bundle = load_bundle(folder)
    settings = replace(tiny_settings(prepared), tokenizer_run=folder, generator_start=folder)
    slow = replace(settings.train.generator, steps=1, learning_rate=1e-9, ema_decay=0.0)
    settings = replace(settings, train=replace(settings.train, generator=slow))
    run = tmp_path / "further"
    for stage in (runs.train_tokenizer, runs.train_decoder):
        assert stage(settings, run, resume=False).finished
    for name, tensor in runs.load_tokenizer(run).state_dict().items():
        assert torch.equal(tensor, bundle.tokenizer.state_dict()[name])
    weights = checkpoint.load(runs.train_generator(settings, run, resume=False).best)
    for part, module in (("generator.", bundle.generator), ("prompt_head.", bundle.prompt_head)):
        made = weights.weights_of(part)
        for name, tensor in module.state_dict().items():
            torch.testing.assert_close(made[name], tensor, rtol=0, atol=1e-6)


def test_a_tokenizer_starts_with_a_bundles(trained, prepared, tmp_path, monkeypatch):
    from training import export

    for module in ("training.export", "training.runs", "kmm_core.bundle"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    folder = str(export.export_bundle(trained[0], tmp_path / "bundle"))
    start = load_bundle(folder).tokenizer
    settings = replace(tiny_settings(prepared), tokenizer_start=folder)
    slow = replace(settings.train.tokenizer, steps=1, learning_rate=1e-9, ema_decay=0.0)
    settings = replace(settings, train=replace(settings.train, tokenizer=slow))
    run = tmp_path / "further"
    assert runs.train_tokenizer(settings, run, resume=False).finished
    further = runs.load_tokenizer(run)
    assert further.settings == start.settings
    for name, tensor in further.state_dict().items():
        if name.startswith(("encoder", "decoder", "mean", "std")):
            torch.testing.assert_close(tensor, start.state_dict()[name], rtol=0, atol=1e-6)
    # A step of averages at 0.99 leaves most of each code where it was; none starts anew on random vectors.
    moved = (further.quantizer.codes() - start.quantizer.codes()).norm(dim=-1)
    size = start.quantizer.codes().norm(dim=-1)
    used = size > 0  # so little training leaves some codes at nothing
    assert 0 < moved.max() and moved[used].median() < 0.2 * size[used].median()
    # At a decay of 1 they stay.
    still = replace(settings, tokenizer=replace(settings.tokenizer, codebook_decay=1.0))
    assert runs.train_tokenizer(still, tmp_path / "still", resume=False).finished
    kept = runs.load_tokenizer(tmp_path / "still").quantizer.codes()
    torch.testing.assert_close(kept, start.quantizer.codes(), rtol=1e-6, atol=1e-6)
    assert runs.train_decoder(still, tmp_path / "still", resume=False).finished
    assert torch.equal(runs.load_tokenizer(tmp_path / "still").quantizer.codes(), kept)


def test_a_bundles_decoder_is_trained_on_while_its_tokens_stay(trained, prepared, tmp_path, monkeypatch):
    from training import export

    for module in ("training.export", "training.runs", "kmm_core.bundle"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    folder = str(export.export_bundle(trained[0], tmp_path / "bundle"))
    start, run = load_bundle(folder).tokenizer, tmp_path / "further"
    # The sizes are the bundle's, whatever the settings say.
    settings = replace(
        tiny_settings(prepared), decoder_start=folder, tokenizer=replace(start.settings, width=24)
    )
    for stage in (runs.train_tokenizer, runs.train_decoder):
        assert stage(settings, run, resume=False).finished
    further = runs.load_tokenizer(run).state_dict()
    changed = {name for name, tensor in start.state_dict().items() if not torch.equal(further[name], tensor)}
    assert changed and all(name.startswith("decoder.") for name in changed)


def test_a_tokenizer_of_another_representation_is_refused(trained, prepared, tmp_path, monkeypatch):
    from training import export

    for module in ("training.export", "training.runs", "kmm_core.bundle"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    folder = str(export.export_bundle(trained[0], tmp_path / "bundle"))
    settings = replace(tiny_settings(prepared), tokenizer_start=folder)
    other = "263" if settings.data.representation == "272" else "272"
    settings = replace(settings, data=replace(settings.data, representation=other))
    with pytest.raises(KmmError, match=f"features a frame; data.representation = '{other}'") as caught:
        runs.train_tokenizer(settings, tmp_path / "run", resume=False)
    assert caught.value.code == "bad_settings"


def test_a_trained_tokenizer_is_never_overwritten_by_a_named_one(trained, prepared, tmp_path, monkeypatch):
    from training import export

    for module in ("training.export", "training.runs", "kmm_core.bundle"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    own, bundle, run = (
        str(trained[0]),
        str(export.export_bundle(trained[0], tmp_path / "b")),
        tmp_path / "run",
    )
    shutil.copytree(trained[0] / "tokenizer", run / "tokenizer")
    before = (run / "tokenizer" / "last.safetensors").read_bytes()

    def use(named: str, folder: Path):
        return runs.train_tokenizer(
            replace(tiny_settings(prepared), tokenizer_run=named), folder, resume=True
        )

    # The same one is no change, nor is a run's own.
    assert use(own, run) == use(str(run), run) and use(own, run).finished
    with pytest.raises(
        KmmError, match="already holds a tokenizer other than that of"
    ) as caught:  # in half precision
        use(bundle, run)
    assert caught.value.code == "run_exists"
    assert (run / "tokenizer" / "last.safetensors").read_bytes() == before
    assert use(bundle, tmp_path / "new").step == use(bundle, tmp_path / "new").step == 0
    # Who forgets to name it when the run goes on is told so.
    with pytest.raises(KmmError, match="a copy of a finished model's weights") as caught:
        runs.train_tokenizer(tiny_settings(prepared), tmp_path / "new", resume=True)
    assert caught.value.code == "run_exists" and "tokenizer_run" in caught.value.hint
    (tmp_path / "file").write_text("")
    with pytest.raises(KmmError, match="Cannot write"):
        use(own, tmp_path / "file")


def test_a_run_without_a_trained_tokenizer_is_refused(prepared, tmp_path):
    (tmp_path / "unfinished" / "tokenizer").mkdir(parents=True)
    for name in ("tokenizer_run", "decoder_start"):
        settings = replace(tiny_settings(prepared), **{name: str(tmp_path / "unfinished")})
        with pytest.raises(KmmError, match="unfinished' has no trained tokenizer") as caught:
            runs.train_tokenizer(settings, tmp_path / "run", resume=False)
        assert caught.value.code == "no_run"


def test_a_tokenizer_of_nowhere_is_refused(prepared, tmp_path):
    for name in ("tokenizer_run", "tokenizer_start", "decoder_start"):
        settings = replace(tiny_settings(prepared), **{name: str(tmp_path / "nowhere")})
        with pytest.raises(KmmError, match="nowhere") as caught:
            runs.train_tokenizer(settings, tmp_path / "run", resume=False)
        assert caught.value.code == "bundle_missing"


def test_settings_travel_with_the_run(trained, prepared):
    assert runs.settings_of(trained[0]) == tiny_settings(prepared)
    tokenizer = runs.load_tokenizer(trained[0])
    assert tokenizer.settings.width == 16
    assert torch.equal(
        tokenizer.quantizer.codes()[0],
        checkpoint.load(trained[1]["tokenizer"].best).weights["tokenizer.quantizer.codebooks.0.codes"],
    )


def test_export_and_sample(trained, tmp_path, monkeypatch):
    from training import export, sample

    for module in ("training.export", "kmm_core.bundle"):
        monkeypatch.setattr(f"{module}.load_text_encoder", lambda settings: LetterEncoder())
    folder = export.export_bundle(trained[0], tmp_path / "bundle")
    assert read_config(folder).licence == "CC0-1.0"
    assert "Trained on clips made by code." in (folder / "MODEL_CARD.md").read_text()
    bundle = load_bundle(folder)
    for part, stage in (("generator", "generator"), ("prompt_head", "generator"), ("tokenizer", "tokenizer")):
        averaged = checkpoint.load(trained[1][stage].best, groups=("ema",)).weights_of(f"{part}.")
        for name, weight in getattr(bundle, part).named_parameters():
            assert torch.equal(weight, averaged[name].half().float()), f"{part}.{name}"
    assert torch.equal(
        bundle.tokenizer.quantizer.codes(), runs.load_tokenizer(trained[0]).quantizer.codes().half().float()
    )
    (folder / "MODEL_CARD.md").write_text("my own")
    export.export_bundle(trained[0], tmp_path / "bundle")
    assert (folder / "MODEL_CARD.md").read_text() == "my own"

    # The card says what the model was trained on from; what nobody may sell stays so.
    (folder / "MODEL_CARD.md").unlink()
    export.export_bundle(trained[0], tmp_path / "bundle", ["generator_start=starter"])
    assert "Trained on from starter, whose data" in (folder / "MODEL_CARD.md").read_text()
    with pytest.raises(KmmError, match="starter-nc may only be used under CC-BY-NC-4.0"):
        export.export_bundle(trained[0], tmp_path / "sold", ["generator_start=starter-nc"])
    assert not (tmp_path / "sold").exists()
    sold = replace(runs.settings_of(trained[0]), export=config.ExportSettings(licence="CC-BY-NC-4.0"))
    with monkeypatch.context() as patch:
        patch.setattr(runs, "settings_of_stage", lambda folder, at: sold)
        for start in (f"tokenizer_run={trained[0]}", f"generator_start={trained[1]['generator'].best}"):
            with pytest.raises(KmmError, match="may only be used under CC-BY-NC-4.0"):
                runs.check_licence(config.load("tiny", [start]))
    (folder / "MODEL_CARD.md").write_text("my own")

    # What a config says now of decoding and of the card needs no training; the command line wins.
    now = replace(runs.settings_of(trained[0]), export=config.ExportSettings(name="new", licence="MIT"))
    now = replace(now, sampling=replace(now.sampling, steps=3))
    export.export_bundle(trained[0], folder, ["export.licence=CC-BY-4.0"], now=now)
    written = read_config(folder)
    assert (written.name, written.licence, written.sampling.steps) == ("new", "CC-BY-4.0", 3)

    shutil.copytree(folder, trained[0] / "bundle")
    sheet = sample.sample_run(trained[0], ["a person walks", "squat"], tmp_path / "out", seconds=1.0, seed=0)
    assert sheet.is_file()
    assert [read_npz(tmp_path / "out" / name).num_frames for name in ("00.npz", "01.npz")] == [30, 30]
    assert read_config(trained[0] / "bundle") == written  # an exported model stays as it was exported


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(KmmError, match="holds no trained stage"):
        runs.settings_of(tmp_path)
    with pytest.raises(KmmError, match=r"best.safetensors does not exist\. Train that stage first"):
        runs.train_generator(config.RunSettings(), tmp_path, resume=False)


if __name__ == "__main__":
    train_stage(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), kill_at_batch=6)
