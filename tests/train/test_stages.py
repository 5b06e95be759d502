"""The two training stages on a few clips made by code: losses fall, rows and batches hold what they say."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kmm_core.aligner.text_motion_aligner import AlignerSettings
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.generator.motion_generator import GeneratorSettings
from kmm_core.generator.sequence import MASK_ID, PAD_ID
from kmm_core.masking.masker import MaskingSettings
from kmm_core.motion import rotations
from kmm_core.motion.representation import representation
from kmm_core.text.encoder import TextSettings, TokenOutputs
from kmm_core.text.familiarity import is_familiar
from kmm_core.tokenizer.motion_tokenizer import TokenizerSettings
from kmm_core.train import generator_stage, token_data, tokenizer_stage
from kmm_core.train.compositions import OVERLAP_FRAMES, cross_fade, join, pick_next
from kmm_core.train.generator_stage import LearningSettings
from kmm_core.train.motion_data import DataSettings, FeatureClip, MotionData
from kmm_core.train.prepared import PreparedClip, clip_path, save_clip, write_manifest
from kmm_core.train.token_data import (
    CaptionOutputs,
    Prompting,
    RowSettings,
    TokenRows,
    balanced_weights,
    cached_rows,
    encode_rows,
    with_one_sentence,
)

AS_EVER = LearningSettings()
SMALL = TokenizerSettings(width=16, code_width=8, num_codebooks=3, codebook_size=16)


def made_clip(frames: int, side: float, speed: float) -> MotionClip:
    """One arm goes up while the person walks."""
    t = np.arange(frames) / 30
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    joint = 16 if side > 0 else 17
    local[:, joint] = rotations.from_axis_angle(np.array([0, 0, 1.0]), side * np.minimum(t, 1.2))
    return MotionClip(np.stack([0 * t, np.full(frames, 0.95), speed * t], axis=-1), local, 30)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> MotionData:
    folder = tmp_path_factory.mktemp("prepared") / "made"
    (folder / "clips").mkdir(parents=True)
    rows = []
    for number in range(12):
        side = "left" if number % 2 else "right"
        clip = made_clip(70 + 5 * number, 1.0 if side == "left" else -1.0, 0.1 * number)
        save_clip(clip_path(folder, f"clip{number}"), clip)
        rows.append(
            PreparedClip(
                id=f"clip{number}",
                source="made",
                licence="CC0-1.0",
                noncommercial=False,
                split="val" if number > 9 else "train",
                recording=str(number),
                start=0.0,
                frames=clip.num_frames,
                captions=(f"raises the {side} arm",),
                mirrored_captions=(f"raises the {'right' if side == 'left' else 'left'} arm",),
                labels={"action": "raise_arm", "side": side, "turn": "none"},
            )
        )
    write_manifest(folder, rows)
    return MotionData(DataSettings(prepared=str(folder.parent)))


class LetterEncoder:
    """Two token outputs a prompt, told apart by the side."""

    name, width, num_parameters = "letters", 4, 0

    def encode(self, prompts):
        vectors = torch.tensor(
            [[[1.0, 0, 0, 0], [0, float("left" in p), float("right" in p), 1.0]] for p in prompts]
        )
        return TokenOutputs(vectors, torch.ones(vectors.shape[:2], dtype=torch.bool))


def generator_stage_on(data, folder, level="segment", strategy="key_frame", learning=AS_EVER, dropout=0.1):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    tokenizer.quantize(
        tokenizer.latents(torch.from_numpy(data.clips[0].features[:64])[None]), torch.Generator()
    )
    return generator_stage.build(
        tokenizer=tokenizer,
        encoder=LetterEncoder(),
        text=TextSettings(width=16, layers=1, heads=2),
        generator=GeneratorSettings(d_model=32, layers=1, d_state=8, head_width=16, dropout=dropout),
        aligner=AlignerSettings(level=level, width=16),
        masking=MaskingSettings(strategy),
        learning=learning,
        rows=generator_stage.load_rows(
            tokenizer=tokenizer,
            data=lambda: data,
            encoder=LetterEncoder(),
            settings=RowSettings(compositions=10),
            cache=folder,
        ),
    )


def losses_over(stage, steps: int) -> list[float]:
    optimizer = torch.optim.Adam(stage.objective.parameters(), 3e-3)
    losses = []
    for step in range(steps):
        rng = torch.Generator().manual_seed(step)
        result = stage.objective(stage.make_batch(rng, 8), rng)
        optimizer.zero_grad()
        result["loss"].backward()
        optimizer.step()
        losses.append(result["loss"].item())
    return losses


def test_tokenizer_stage_learns_and_reports(data, tmp_path):
    stage = tokenizer_stage.build(SMALL, data)
    losses = losses_over(stage, 40)
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    report = stage.validate(stage.objective.eval(), tmp_path)
    assert 0 < report["joint_error_mm"] <= report["path_joint_error_mm"]
    assert (tmp_path / "reconstruction.png").stat().st_size > 1000


@pytest.mark.parametrize("level", ["none", "sentence", "segment"])
def test_generator_stage_learns(data, tmp_path, level):
    stage = generator_stage_on(data, tmp_path, level)
    losses = losses_over(stage, 30)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    report = stage.validate(stage.objective.eval(), None)
    assert ("alignment" in report) == (level != "none") and report["masked"] > 0


def test_what_is_said_of_the_rows_is_familiar(data, tmp_path):
    centres = generator_stage_on(data, tmp_path).objective.familiar
    assert centres.any(-1).sum() == 2  # raises the left arm, raises the right arm
    assert is_familiar(LetterEncoder().encode(["a left arm", "right"]), centres).all()
    assert not is_familiar(
        TokenOutputs(-torch.ones(1, 1, 4), torch.ones(1, 1, dtype=torch.bool)), centres
    ).any()


def test_wrong_learning_settings_are_all_named():
    with pytest.raises(KmmError, match=r"residual_share=1.5 must be in \[0, 1\]; distil_guidance=-1"):
        LearningSettings(residual_share=1.5, distil_guidance=-1.0)


def test_only_a_share_of_the_rows_trains_the_residual_codebooks(data, tmp_path):
    asked = {}
    for share in (1.0, 0.25, 0.0):
        objective = generator_stage_on(data, tmp_path, learning=LearningSettings(share)).objective
        stage = generator_stage_on(data, tmp_path)
        batch = stage.make_batch(torch.Generator().manual_seed(3), 8)
        seen = []
        objective.generator.residual.register_forward_pre_hook(
            lambda _, inputs, seen=seen: seen.append(inputs)
        )
        losses = objective(batch, torch.Generator().manual_seed(0))
        losses["loss"].backward()
        asked[share] = [(len(tokens), len(levels), len(text)) for tokens, levels, text, _ in seen]
        gradient = objective.generator.residual.heads.grad
        assert (share > 0) == (gradient is not None and bool(gradient.abs().sum() > 0))
        assert (losses["residual"].item() > 0) == (share > 0)
        # What is reported in validation is of all rows, whatever trains.
        assert objective.eval()(batch, torch.Generator())["residual"] > 0
    rows = len(batch.tokens)
    quarter = -(-rows // 4)
    assert rows > 4 and asked == {1.0: [(rows,) * 3], 0.25: [(quarter,) * 3], 0.0: []}


def test_guidance_is_learned_into_one_pass(data, tmp_path):
    torch.manual_seed(0)
    # Little dropout: what the student can reach is to be seen, not how it is disturbed.
    stage = generator_stage_on(data, tmp_path, "none", learning=LearningSettings(0.0, 3.0), dropout=0.0)
    objective = stage.objective
    losses_over(stage, 60)
    names = set(objective.state_dict())
    objective.learn_from_start()
    (teacher,) = objective.teacher
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    assert set(objective.state_dict()) == names  # the teacher is neither trained nor saved

    batch = stage.make_batch(torch.Generator().manual_seed(99), 8)
    valid = batch.places.pick(batch.places.is_motion[..., None])[..., 0]
    visible = torch.where(valid, MASK_ID, PAD_ID)
    kept = torch.zeros(len(batch.prompt_row), dtype=torch.bool)

    def alone(objective, scale=1.0):
        """Guided by hand: [N, V] log-probabilities."""
        text = objective.prompt_head(batch.text)
        parts = []
        for dropped in (kept, ~kept):
            rows = objective._text_rows(text, dropped, batch)
            hidden = objective.generator.restore(batch.places.place(visible, PAD_ID), rows, batch.places)
            parts.append(objective.generator.base_logits(batch.places.pick(hidden)))
        return (parts[1] + scale * (parts[0] - parts[1]))[valid].log_softmax(-1)

    def distance() -> float:
        wanted = alone(teacher, 3.0)
        return float((wanted.exp() * (wanted - alone(objective))).sum(-1).mean())

    with torch.no_grad():
        torch.testing.assert_close(
            teacher.guided(batch, visible, valid, kept).log_softmax(-1), alone(teacher, 3.0)
        )
        first = distance()
    losses_over(stage, 80)
    with torch.no_grad():
        assert first > 0.02 and distance() < 0.5 * first
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())
    # The best checkpoint is the one nearest to the teacher.
    assert stage.best_metric == "distilled"
    report = stage.validate(objective.eval(), None)
    assert 0 < report["distilled"] < report["masked"]


def test_confidence_hides_what_the_model_doubts(data, tmp_path):
    objective = generator_stage_on(data, tmp_path, strategy="confidence").objective.eval()
    rows = cached_rows(tmp_path / "train_rows.safetensors", None)
    outputs = CaptionOutputs.of(LetterEncoder(), [row.prompts[0].captions[0] for row in rows])
    batch = TokenRows(rows, outputs).collate(rows[:1], torch.Generator().manual_seed(0))
    hidden = []
    masker = objective.masker

    def watch(latents, valid, rng):
        hidden.append((latents[0, :, 0], masker(latents, valid, rng)[0]))
        return hidden[-1][1][None].clone()

    object.__setattr__(objective, "masker", watch)
    for seed in range(40):
        objective(batch, torch.Generator().manual_seed(seed))
    # What is hidden was doubted more than what is shown, on average over many masks.
    gaps = [doubt[mask].mean() - doubt[~mask].mean() for doubt, mask in hidden if not mask.all()]
    assert len(gaps) > 20 and np.mean(gaps) > 0


def test_one_sentence_keeps_the_tokens_and_joins_the_prompts(data, tmp_path):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    rows = encode_rows(tokenizer, data, data.clips, RowSettings(compositions=8))
    joined = with_one_sentence(rows)
    for row, other in zip(rows, joined, strict=True):
        (prompt,) = other.prompts
        assert other.tokens is row.tokens and prompt.tokens == len(row.tokens)
        assert prompt.captions[0] == ", then ".join(part.captions[0] for part in row.prompts)


def test_a_clip_of_several_parts_is_told_in_several_prompts(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    step = tokenizer.settings.frames_per_token
    clip = data.clips[0]
    later = replace(
        clip.about, captions=("then this",), mirrored_captions=("then that",), labels={"action": "rest"}
    )
    told = replace(clip, parts=((clip.about, 6 * step + 1), (later, len(clip.features))))
    rows = encode_rows(tokenizer, data, [told], RowSettings(compositions=0))
    whole = encode_rows(tokenizer, data, [clip], RowSettings(compositions=0))
    assert len(rows) == len(whole) == 2
    for row, other, then in zip(rows, whole, ("then this", "then that"), strict=True):
        first, second = row.prompts
        assert torch.equal(row.tokens, other.tokens)
        assert (first.tokens, second.tokens) == (6, len(row.tokens) - 6)
        assert (first.captions, first.meaning) == (other.prompts[0].captions, other.prompts[0].meaning)
        assert second.captions == (then,) and second.meaning == "rest/none/none"
    # A part without a token is no prompt, and one that nothing is said of can't be learned.
    for parts in (
        ((clip.about, step - 1), (later, len(clip.features))),
        ((clip.about, 6 * step), (replace(later, captions=(), mirrored_captions=()), len(clip.features))),
    ):
        with pytest.raises(KmmError):
            encode_rows(tokenizer, data, [replace(clip, parts=parts)], RowSettings(compositions=0))


def test_timelines_keep_the_prompts_of_clips_that_have_several(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    clips = [
        replace(clip, parts=((clip.about, len(clip.features) // 2), (clip.about, len(clip.features))))
        for clip in data.clips
    ]
    rows = encode_rows(tokenizer, data, clips, RowSettings(compositions=8))
    composed = [row for row in rows if len(row.prompts) > 2]
    assert len(composed) >= 4
    for row in composed:
        assert len(row.prompts) % 2 == 0
        assert sum(prompt.tokens for prompt in row.prompts) == len(row.tokens)
        halves = zip(row.prompts[::2], row.prompts[1::2], strict=True)
        assert all(one.meaning == other.meaning and one.tokens > 0 < other.tokens for one, other in halves)


def test_what_a_join_takes_is_taken_from_the_prompts_beside_it(monkeypatch):
    told = (Prompting(8, ("a",), ""), Prompting(4, ("b",), ""))
    clip = np.zeros((48, 1), np.float32), told, 1.0
    joined = lambda one, other, form: (np.concatenate([one, other])[24:], 12, 12)  # noqa: E731
    monkeypatch.setattr(token_data, "join", joined)
    monkeypatch.setattr(token_data, "pick_next", lambda *_: 0)
    monkeypatch.setattr(token_data, "MAX_ROW_TOKENS", 24)  # two clips and no third
    data = SimpleNamespace(representation=None)
    _, prompts = token_data._compose(
        [clip], [(0.9, 0.9)], lambda count, _: [0] * count, data, 4, torch.Generator()
    )
    assert [prompt.tokens for prompt in prompts] == [8, 1, 5, 4]


def test_nobody_springs_up_from_a_seat_in_a_timeline(data):
    """Who ends on a seat is followed by who begins on one."""
    form, tokenizer = representation("272"), tokenizer_stage.build(SMALL, data).objective.tokenizer

    def clip_at(number: int, height: float) -> FeatureClip:
        motion = made_clip(60, 1.0, 0.0)
        motion.root_positions[:, 1] = height
        said = (f"at {height}",)
        about = replace(data.clips[0].about, id=f"at{number}", captions=said, mirrored_captions=said)
        return FeatureClip(about, form.encode(motion).astype(np.float32))

    clips = [clip_at(number, height) for number, height in enumerate((0.95, 0.9, 0.5, 0.45))]
    rows = encode_rows(tokenizer, data, clips, RowSettings(compositions=20))
    told = [{prompt.captions[0] for prompt in row.prompts} for row in rows if len(row.prompts) > 1]
    assert {frozenset(said) for said in told} <= {
        frozenset(group)
        for level in (("at 0.95", "at 0.9"), ("at 0.5", "at 0.45"))
        for group in (level, level[:1], level[1:])
    }
    assert any("at 0.95" in said for said in told) and any("at 0.5" in said for said in told)


def test_parts_that_begin_later_end_later(data):
    """Shifted by up to three frames, a part that ends at frame 24 has five or six tokens of four."""
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    told = [replace(clip, parts=((clip.about, 24), (clip.about, len(clip.features)))) for clip in data.clips]
    rows = encode_rows(tokenizer, data, told, RowSettings(compositions=0, shifted=True))
    assert {row.prompts[0].tokens for row in rows} == {5, 6}
    assert all(sum(prompt.tokens for prompt in row.prompts) == len(row.tokens) for row in rows)


def test_the_same_again_is_said_in_the_same_words(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    about = replace(
        data.clips[0].about, captions=("left", "right", "up"), mirrored_captions=("left", "right", "up")
    )
    clip = replace(data.clips[0], about=about, parts=((about, 32), (about, len(data.clips[0].features))))
    rows = encode_rows(tokenizer, data, [clip], RowSettings(compositions=0, captions=2))
    outputs = CaptionOutputs.of(LetterEncoder(), ["left", "right", "up"])
    batch = TokenRows(rows, outputs).collate(rows * 8, torch.Generator().manual_seed(0))
    words = batch.meaning[:, 1].reshape(-1, 2)
    assert (words[:, 0] == words[:, 1]).all() and len(words[:, 0].unique()) > 1


def test_who_would_not_get_up_before_a_row_ends_is_left_out(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    clip = data.clips[0]
    long = replace(clip, features=np.resize(clip.features, (420, clip.features.shape[1])))
    told = replace(long, parts=((clip.about, 200), (clip.about, 420)))
    rows = encode_rows(tokenizer, data, [long, told], RowSettings(compositions=0))
    assert [len(row.tokens) for row in rows] == [100, 100]  # the one of a single prompt and its mirror image


def test_captions_are_encoded_once(tmp_path):
    said = ["left", "right", "left", "neither"]
    made = CaptionOutputs.cached(tmp_path, LetterEncoder(), said)
    again = CaptionOutputs.cached(tmp_path, type("Dumb", (), {"name": "letters"})(), said)
    direct = LetterEncoder().encode(["right", "neither"])
    for outputs in (made, again):
        found = outputs.batch(["right", "neither"])
        assert torch.equal(found.vectors, direct.vectors) and torch.equal(found.mask, direct.mask)
    with pytest.raises(AttributeError):  # other captions are not in the file
        CaptionOutputs.cached(tmp_path, type("Dumb", (), {"name": "letters"})(), ["up"])
    assert len(list(tmp_path.glob("captions-*"))) == 1


def test_batches_depend_on_the_generator_only(data, tmp_path):
    stage = generator_stage_on(data, tmp_path)
    first, again, other = (stage.make_batch(torch.Generator().manual_seed(seed), 8) for seed in (1, 1, 2))
    assert torch.equal(first.tokens, again.tokens) and torch.equal(first.text.vectors, again.text.vectors)
    assert first.tokens.shape != other.tokens.shape or not torch.equal(first.tokens, other.tokens)


@pytest.mark.parametrize("action", ["other", ""])
def test_clips_that_name_no_action_do_not_all_mean_the_same(data, tmp_path, action):
    """HumanML3D's: with one meaning for all there was no wrong answer, and the alignment loss was 0."""
    labels = {"action": action, "side": "none", "turn": "none"}
    unnamed = copy.copy(data)
    unnamed.clips = [FeatureClip(replace(clip.about, labels=labels), clip.features) for clip in data.clips]
    stage = generator_stage_on(unnamed, tmp_path)
    rows = cached_rows(tmp_path / "train_rows.safetensors", None)
    assert len({row.prompts[0].meaning for row in rows if len(row.prompts) == 1}) == 20  # 10 clips, mirrored
    for seed in range(4):
        batch = stage.make_batch(torch.Generator().manual_seed(seed), 8)
        if len(batch.prompt_row) == len(batch.tokens):  # single clips: left and right arms
            assert stage.objective(batch, torch.Generator().manual_seed(seed))["alignment"] > 0.01


def test_the_same_words_say_the_same_whatever_they_mean(data):
    """A wave of the left hand and one of the right, both called "waves": neither is a wrong answer to it."""
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    row = encode_rows(tokenizer, data, data.clips[:1], RowSettings(compositions=0))[0]
    said = (("left", "waves"), ("right", "waves"), ("left", "waves the left hand"))
    rows = [
        replace(row, prompts=(Prompting(len(row.tokens), (caption,), meaning),)) for meaning, caption in said
    ]
    outputs = CaptionOutputs.of(LetterEncoder(), [caption for _, caption in said])
    meaning = TokenRows(rows, outputs).collate(rows, torch.Generator()).meaning
    same = (meaning[:, None] == meaning[None]).any(-1)
    assert same.tolist() == [[True, True, True], [True, True, False], [True, False, True]]


def test_mirrored_rows_carry_mirrored_captions(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    rows = encode_rows(tokenizer, data, data.clips[:1], RowSettings(compositions=0))
    assert [row.prompts[0].captions for row in rows] == [("raises the right arm",), ("raises the left arm",)]
    assert [row.prompts[0].meaning for row in rows] == ["raise_arm/right/none", "raise_arm/left/none"]


def test_shifted_rows_are_the_same_clips_begun_up_to_a_token_later(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    plain, shifted, again, other = (
        encode_rows(tokenizer, data, data.clips, RowSettings(compositions=0, seed=seed, shifted=late))
        for seed, late in ((0, False), (0, True), (0, True), (1, True))
    )
    assert [row.prompts[0].meaning for row in shifted] == [row.prompts[0].meaning for row in plain]
    shorter = [len(row.tokens) - len(late.tokens) for row, late in zip(plain, shifted, strict=True)]
    assert set(shorter) == {0, 1}
    assert all(torch.equal(one.latents, two.latents) for one, two in zip(shifted, again, strict=True))
    for late in (shifted, other):  # one of four begins where it did
        same = [torch.equal(one.latents[0], two.latents[0]) for one, two in zip(plain, late, strict=True)]
        assert 0 < sum(same) < len(same) / 2
    assert any(
        not torch.equal(one.latents[0], two.latents[0]) for one, two in zip(shifted, other, strict=True)
    )


def test_compositions_span_their_tokens_and_are_kept(data, tmp_path):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    rows = cached_rows(
        tmp_path / "rows.safetensors",
        lambda: encode_rows(tokenizer, data, data.clips, RowSettings(compositions=8)),
    )
    composed = [row for row in rows if len(row.prompts) > 1]
    assert len(composed) >= 6  # some find no room for a second clip
    assert all(sum(prompt.tokens for prompt in row.prompts) == len(row.tokens) for row in rows)

    def fail():
        raise AssertionError("made again")

    again = cached_rows(tmp_path / "rows.safetensors", fail)
    assert [row.prompts for row in again] == [row.prompts for row in rows]
    for a, b in zip(again, rows, strict=True):
        assert torch.equal(a.tokens, b.tokens) and torch.equal(a.latents, b.latents) and a.weight == b.weight


def test_a_batch_holds_its_rows_and_what_is_said_of_each_prompt(data):
    tokenizer = tokenizer_stage.build(SMALL, data).objective.tokenizer
    row = encode_rows(tokenizer, data, data.clips[:1], RowSettings(compositions=0))[0]
    size = len(row.tokens)
    two = replace(row, prompts=(Prompting(size - 3, ("left",), "a"), Prompting(3, ("right",), "b")))
    short = replace(
        row, tokens=row.tokens[:5], latents=row.latents[:5], prompts=(Prompting(5, ("up",), "c"),)
    )
    rows = [two, short]
    encoder = LetterEncoder()
    batch = TokenRows(rows, CaptionOutputs.of(encoder, ["up", "right", "left"])).collate(
        rows, torch.Generator()
    )
    assert torch.equal(batch.tokens[0], row.tokens.long()) and torch.equal(
        batch.latents[0], row.latents.float()
    )
    assert torch.equal(batch.tokens[1, :5], row.tokens[:5].long())
    assert batch.prompt_row.tolist() == [0, 0, 1] and batch.prompt_number.tolist() == [0, 1, 0]
    assert torch.equal(batch.text.vectors, encoder.encode(["left", "right", "up"]).vectors)


def test_a_full_disk_stops_rows_with_one_sentence(data, tmp_path):
    resource = pytest.importorskip("resource")
    rows = encode_rows(
        tokenizer_stage.build(SMALL, data).objective.tokenizer, data, data.clips, RowSettings(compositions=0)
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # no file may be larger
    try:
        with pytest.raises(KmmError, match="Cannot write .*rows.safetensors"):
            cached_rows(tmp_path / "new" / "rows.safetensors", lambda: rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "new").iterdir())


def test_clips_without_captions_train_a_tokenizer_but_no_generator(data, tmp_path):
    silent = copy.copy(data)
    silent.clips = [
        replace(clip, about=replace(clip.about, captions=(), mirrored_captions=())) for clip in data.clips
    ]
    stage = tokenizer_stage.build(SMALL, silent)
    assert stage.validate(stage.objective.eval(), tmp_path)["joint_error_mm"] > 0
    with pytest.raises(
        KmmError, match="None of 12 clips of .* has a caption and at least 4 frames"
    ) as caught:
        encode_rows(stage.objective.tokenizer, silent, silent.clips, RowSettings())
    assert caught.value.code == "no_clips"


@pytest.mark.parametrize(("form", "halvings"), [("263", 2), ("272", 1), ("272", 3), ("263", 3)])
def test_compositions_are_whole_tokens_of_any_length_and_representation(data, form, halvings):
    """A fade of 24 frames is three tokens of 8, half of it is none; and 263 loses a row a joint."""
    data = MotionData(replace(data.settings, representation=form))
    tokenizer = tokenizer_stage.build(replace(SMALL, halvings=halvings), data).objective.tokenizer
    rows = encode_rows(tokenizer, data, data.clips, RowSettings(compositions=8))
    composed = [row for row in rows if len(row.prompts) > 1]
    assert len(composed) >= 4
    assert all(sum(prompt.tokens for prompt in row.prompts) == len(row.tokens) for row in composed)
    assert all(prompt.tokens > 0 for row in composed for prompt in row.prompts)


def test_cross_fades_are_as_smooth_as_their_clips():
    form = representation("272")
    first, second = form.encode(made_clip(60, 1, 1.0)), form.encode(made_clip(60, -1, 0.5))
    joined = form.decode(cross_fade(first, second, form), 30.0)
    assert joined.num_frames == 120 - OVERLAP_FRAMES
    turn = rotations.angle_between(joined.local_rotations[1:], joined.local_rotations[:-1]).max(axis=1)
    assert turn.max() < 0.12  # the arms come down and go up within the fade, without a jump
    speed = np.linalg.norm(np.diff(joined.root_positions, axis=0), axis=-1) * 30
    assert 0.49 < speed[1:].min() and speed.max() < 1.01


def test_what_follows_mostly_starts_as_the_motion_before_ends():
    so_far = np.repeat([[0.0], [5.0]], [60, OVERLAP_FRAMES], axis=0)
    candidates = [np.full((60, 1), value) for value in (-5.0, 0.0, 5.0, 10.0)]
    picked, again = (
        [pick_next(so_far, candidates, torch.Generator().manual_seed(seed)) for seed in range(100)]
        for _ in range(2)
    )
    assert picked == again and set(picked) == {0, 1, 2, 3}
    assert 70 < picked.count(2) < 95  # three of four, and a fourth of the others


def test_who_stands_is_shown_whole_and_who_walks_loses_half_the_fade():
    form, half = representation("272"), OVERLAP_FRAMES // 2
    stands, walks = ([form.encode(made_clip(70, side, speed)) for side in (1, -1)] for speed in (0.0, 1.0))
    for first, second, lost in (
        (stands[0], stands[1], (0, 0)),
        (walks[0], stands[1], (half, 0)),
        (stands[0], walks[1], (0, half)),
        (walks[0], walks[1], (half, half)),
    ):
        rows, *found = join(first, second, form)
        assert tuple(found) == lost and len(rows) == 140 - sum(lost)
        joined, boundary = form.decode(rows, 30.0), 70 - lost[0]
        # Out of the fade each arm is where it was recorded so long after its own prompt began.
        after, before = slice(boundary + half, None), slice(0, boundary - half)
        recorded = form.decode(second, 30.0).local_rotations[half + lost[1] :]
        assert rotations.angle_between(joined.local_rotations[after], recorded).max() < 1e-3
        recorded = form.decode(first, 30.0).local_rotations[: boundary - half]
        assert rotations.angle_between(joined.local_rotations[before], recorded).max() < 1e-3
        turn = rotations.angle_between(joined.local_rotations[1:], joined.local_rotations[:-1]).max(axis=1)
        assert turn.max() < 0.12


def test_statistics_scale_left_and_right_alike(data):
    _, std = data.statistics()
    for group in data.representation.groups:
        assert len(std[group].unique()) == 1


def test_tokenizer_starts_from_principal_components(data):
    """With as many numbers as a token's frames have independent ones, untrained latents already carry the motion."""
    tokenizer = tokenizer_stage.build(replace(SMALL, code_width=64), data).objective.tokenizer
    features = torch.from_numpy(data.split("val")[0].features[:64].copy())[None]
    restored = tokenizer.decode_latents(tokenizer.latents(features))
    error = ((restored - features) / tokenizer.std).abs().mean()
    assert error < 0.02 * ((features - tokenizer.mean) / tokenizer.std).abs().mean()


def test_a_share_of_the_tokenizers_windows_is_mixed_of_several_recordings(data, monkeypatch):
    monkeypatch.setattr(tokenizer_stage, "MIXED_WINDOWS", 20)
    mixing = MotionData(replace(data.settings, mixed_bodies=0.25))
    stage = tokenizer_stage.build(SMALL, mixing)
    first, again = (stage.make_batch(torch.Generator().manual_seed(4), 16) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (16, 64, 272)
    plain = tokenizer_stage.build(SMALL, data).make_batch(torch.Generator().manual_seed(4), 16)
    changed = (first != plain).flatten(1).any(1)
    assert changed.sum() == 4 and changed[:8].any() and changed[8:].any()
    # Theirs is half precision; the rest are recordings as they are.
    assert torch.equal(first[changed].half().float(), first[changed])
    codes = stage.objective.tokenizer.quantizer.codes().clone()
    as_it_was = tokenizer_stage.build_decoder(stage.objective.tokenizer, mixing, refit=False)
    assert torch.equal(as_it_was.objective.tokenizer.quantizer.codes(), codes)
    decoder = tokenizer_stage.build_decoder(stage.objective.tokenizer, mixing)
    assert not torch.equal(decoder.objective.tokenizer.quantizer.codes(), codes)
    trained = [name for name, p in decoder.objective.named_parameters() if p.requires_grad]
    assert trained and all(name.startswith("tokenizer.decoder.") for name in trained)
    assert decoder.make_batch(torch.Generator().manual_seed(4), 16).shape == (16, 64, 272)


def test_short_and_seldom_clips_are_among_the_tokenizers_windows(data):
    """Half of the batches hold windows that a hop fits in, and actions are drawn more evenly than they were recorded."""
    hop = replace(
        data.clips[1],
        features=data.clips[1].features[:40] + 100,
        about=replace(data.clips[1].about, frames=40),
    )
    hop = replace(hop, about=replace(hop.about, split="train", labels={"action": "hop"}))
    with_hop = MotionData(data.settings)
    with_hop.clips = [*data.clips, hop]
    stage = tokenizer_stage.build(SMALL, with_hop)
    batches = [stage.make_batch(torch.Generator().manual_seed(seed), 32) for seed in range(60)]
    frames = [batch.shape[1] for batch in batches]
    assert set(frames) == {64, 32} and 20 <= frames.count(64) <= 40
    # A mirrored one goes the other way.
    hops = [float((batch[..., 0].mean(1).abs() > 50).float().mean()) for batch in batches]
    assert all(share == 0 for share, length in zip(hops, frames, strict=True) if length == 64)
    seen = np.mean([share for share, length in zip(hops, frames, strict=True) if length == 32])
    recorded = 1 / len(with_hop.split("train"))
    assert 1.3 * recorded < seen < 0.5


def test_word_dropout_hides_words_but_never_the_first(data, tmp_path):
    objective = generator_stage_on(data, tmp_path).objective
    words = TokenOutputs(torch.zeros(50, 9, 4), torch.ones(50, 9, dtype=torch.bool))
    objective.word_dropout = 0.3
    seen = objective.train()._with_words_missing(words, torch.Generator().manual_seed(0)).mask
    assert seen[:, 0].all() and 0.6 < seen[:, 1:].float().mean() < 0.8
    assert objective.eval()._with_words_missing(words, torch.Generator()).mask.all()


def test_no_training_clip_is_an_error(tmp_path, data):
    with pytest.raises(KmmError, match="no folder|holds no|No training clip"):
        MotionData(DataSettings(prepared=str(tmp_path)))


def test_balance_evens_out_the_shares_of_actions(data):
    often = [replace(clip, about=replace(clip.about, weight=0.9 / 6)) for clip in data.clips[:6]]
    seldom = [
        replace(clip, about=replace(clip.about, weight=0.05, labels={"action": "bow"}))
        for clip in data.clips[6:8]
    ]
    clips = [*often, *seldom]
    assert balanced_weights(clips, 0.0) == pytest.approx([clip.about.weight for clip in clips])
    equal = balanced_weights(clips, 1.0)
    assert sum(equal) == pytest.approx(1.0) and sum(equal[6:]) == pytest.approx(0.5)
    half = balanced_weights(clips, 0.5)
    # Shares 0.9 and 0.1 become sqrt(0.9) to sqrt(0.1), that is 3 to 1.
    assert sum(half[6:]) == pytest.approx(0.25)
    assert half[6] == pytest.approx(half[7])
