"""A run folder: what each stage writes there, and how the next stage uses it.

``<run>/tokenizer``, ``<run>/generator`` and ``<run>/residual`` hold checkpoints, metrics and pictures; ``<run>/rows-*`` the token
rows they are trained on; ``<run>/evaluator`` what measures them, which depends on neither. The settings travel inside the
checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from kmm_core.atomic_write import atomic_write, make_folder_of
from kmm_core.bundle import bundle_folder, load_bundle, read_config
from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import Evaluator, save_evaluator
from kmm_core.motion.representation import representation
from kmm_core.text.encoder import TextEncoder, load_text_encoder
from kmm_core.text.familiarity import centres_of
from kmm_core.text.prompt_head import PromptHead
from kmm_core.tokenizer.motion_tokenizer import MotionTokenizer
from kmm_core.train import checkpoint, evaluator_stage, generator_stage, tokenizer_stage
from kmm_core.train.generator_stage import GeneratorObjective, GeneratorRows
from kmm_core.train.loop import TrainResult, processes, train
from kmm_core.train.motion_data import MotionData, data_key
from kmm_core.train.stage import Stage
from kmm_core.train.token_data import ROWS_VERSION
from kmm_core.train.train_settings import TrainSettings

from .config import RunSettings, build


def check_before(settings: RunSettings, run: Path) -> None:
    """Finds settings that the generator's stage would refuse, before the earlier stages train for hours.

    Raises:
        KmmError: as loading the text encoder and ``generator_start`` does; ``bad_settings``.
    """
    check_licence(settings)
    if finished(run / "generator", settings.train.generator.steps):
        return
    _check_learning(settings)
    if settings.generator_start.endswith(".safetensors"):
        checkpoint.load(Path(settings.generator_start), groups=())
    elif settings.generator_start:
        bundle_folder(settings.generator_start)
    PromptHead(load_text_encoder(settings.text).width, settings.text)


def check_licence(settings: RunSettings) -> None:
    """What is made of a model for non-commercial use is for that alone.

    Raises:
        KmmError: ``bad_settings`` where what to start from has such a licence and ``export.licence`` is another.
    """
    for start in starts_of(settings):
        path = Path(start)
        try:
            if start.endswith(".safetensors"):
                licence = settings_of_stage(path.parent, path.stem).export.licence
            elif (path / "tokenizer").is_dir():
                licence = settings_of(path).export.licence
            else:
                licence = read_config(bundle_folder(start)).licence
        except (KmmError, KeyError):  # missing, or of another version: whoever loads it says so
            continue
        if "NC" in licence and "NC" not in settings.export.licence:
            raise KmmError(
                "bad_settings",
                f"{start} may only be used under {licence}, and so may what is trained on from it; "
                f"export.licence is {settings.export.licence}.",
                f"Use the config finetune-nc, or --set export.licence={licence}.",
            )


def starts_of(settings: RunSettings) -> list[str]:
    """The runs, bundles and checkpoints that this run starts from, each once."""
    starts = (
        settings.tokenizer_run,
        settings.tokenizer_start,
        settings.decoder_start,
        settings.generator_start,
    )
    return [start for start in dict.fromkeys(starts) if start]


def _check_learning(settings: RunSettings) -> None:
    if settings.learning.distil_guidance and not settings.generator_start:
        raise KmmError(
            "bad_settings",
            f"learning.distil_guidance={settings.learning.distil_guidance:g} needs a trained "
            "generator to learn from, "
            "and generator_start is empty.",
            'Name one (generator_start = "starter", or a checkpoint), or leave distil_guidance at 0.',
        )


def train_tokenizer(settings: RunSettings, run: Path, *, resume: bool) -> TrainResult:
    """Stage 1 in ``<run>/tokenizer``; or the tokenizer of another run, copied."""
    if source := settings.tokenizer_run or settings.decoder_start:
        return _copy_stage("tokenizer", source, settings, run)
    start = tokenizer_of(settings.tokenizer_start) if settings.tokenizer_start else None
    if start:
        # Its sizes, but how the codes learn is for this training to say: codebook_decay = 1 leaves them where they are.
        settings = replace(
            settings, tokenizer=replace(start.settings, codebook_decay=settings.tokenizer.codebook_decay)
        )

    def make_stage() -> Stage:
        data = MotionData(settings.data)
        if start:
            return tokenizer_stage.build_further(
                start, data, codebook_decay=settings.tokenizer.codebook_decay
            )
        return tokenizer_stage.build(settings.tokenizer, data)

    return _train(
        make_stage,
        settings,
        settings.train.tokenizer,
        run / "tokenizer",
        resume,
    )


def train_decoder(settings: RunSettings, run: Path, *, resume: bool) -> TrainResult:
    """Stage 2 in ``<run>/decoder``: the tokenizer's decoder alone."""
    if settings.tokenizer_run:
        return _copy_stage("decoder", settings.tokenizer_run, settings, run)

    start = settings.decoder_start
    tokenizer = tokenizer_of(start) if start else load_tokenizer(run, "tokenizer")
    settings = replace(settings, tokenizer=tokenizer.settings)
    # Who keeps the codes while the encoder learns wants them kept here, too; so does a generator that learned them already.
    learned = noted(run / "generator", "codes_key") == codes_key(tokenizer)
    refit = not start and tokenizer.settings.codebook_decay < 1 and not learned
    key = _content_key(run / "tokenizer" / "best.safetensors")
    _check_follows(run / "decoder", "tokenizer_key", key, "tokenizer")

    def make_stage() -> Stage:
        stage = tokenizer_stage.build_decoder(tokenizer, MotionData(settings.data), refit=refit)
        stage.metadata = {"tokenizer_key": key}
        return stage

    return _train(
        make_stage,
        settings,
        settings.train.decoder,
        run / "decoder",
        resume,
    )


def _copy_stage(stage: str, named: str, settings: RunSettings, run: Path) -> TrainResult:
    """The finished stage of the run, or of the bundle, that is named. One that is there stays, and must be the same."""
    source, target = Path(named) / stage, run / stage
    files = ("best.safetensors", "last.safetensors")
    of_a_run = all((source / name).is_file() for name in files)
    if not of_a_run and (source.parent / "tokenizer").is_dir():
        raise KmmError(
            "no_run",
            f"'{named}' has no trained {stage}.",
            "Train that run first, or correct tokenizer_run (decoder_start).",
        )
    best, last = (target / name for name in files)
    if processes().is_main_process:
        if of_a_run:
            given = checkpoint.load(source / "best.safetensors", groups=("ema",)).weights
        else:
            given, info = _bundled_tokenizer(named, settings)
        if last.is_file():
            _check_same(target, given, named)
        else:
            make_folder_of(best)
            for path in (best, last):
                if of_a_run:
                    with atomic_write(path) as temporary:
                        shutil.copyfile(source / path.name, temporary)
                else:
                    checkpoint.save(path, {"ema": given}, info)
    processes().wait_for_everyone()
    info = checkpoint.load(last, groups=()).info
    return TrainResult(info["step"], True, info["metrics"], info["best_value"], last, best)


def _check_same(target: Path, given: dict[str, torch.Tensor], named: str) -> None:
    best = target / "best.safetensors"
    own = checkpoint.load(best, groups=("ema",)).weights if best.is_file() else {}
    if own.keys() != given.keys() or not all(torch.equal(own[name], given[name]) for name in own):
        raise KmmError(
            "run_exists",
            f"{target} already holds a {target.name} other than that of '{named}'.",
            f"Choose another run folder (--run), or delete {target} and what was trained on it.",
        )


def _bundled_tokenizer(named: str, settings: RunSettings) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tokenizer of a bundle as weights and information of a checkpoint of a stage that is finished."""
    bundle = load_bundle(named)
    settings = replace(
        settings,
        tokenizer=bundle.config.tokenizer,
        data=replace(settings.data, representation=bundle.config.representation),
    )
    weights = {f"tokenizer.{name}": tensor for name, tensor in bundle.tokenizer.state_dict().items()}
    return weights, {"step": 0, "metrics": {}, "best_value": None, "metadata": {"settings": asdict(settings)}}


def train_generator(settings: RunSettings, run: Path, *, resume: bool) -> TrainResult:
    """Stage 3 in ``<run>/generator``, on the best tokenizer of the run."""
    tokenizer, encoder = load_tokenizer(run), load_text_encoder(settings.text)
    return train_generator_on(
        lambda: generator_rows(settings, tokenizer, encoder, run),
        settings,
        run / "generator",
        tokenizer=tokenizer,
        encoder=encoder,
        resume=resume,
    )


def train_residual(settings: RunSettings, run: Path, *, resume: bool) -> TrainResult:
    """Stage 4 in ``<run>/residual``: the best generator's residual codebooks alone, with the settings it was trained with."""
    trained = run / "generator" / "best.safetensors"
    settings = replace(settings_of_stage(run / "generator", "best"), train=settings.train)
    tokenizer, key = load_tokenizer(run), _content_key(trained)
    check_codes(trained, tokenizer)
    _check_follows(run / "residual", "generator_key", key, "generator")

    def make_stage() -> Stage:
        encoder = load_text_encoder(settings.text)
        objective = generator_stage.make_objective(
            tokenizer, encoder, settings.text, settings.generator, settings.aligner, settings.masking
        )
        checkpoint.load_into(objective, checkpoint.load(trained, groups=("ema",)).weights, trained)
        stage = generator_stage.residual_stage(objective, generator_rows(settings, tokenizer, encoder, run))
        stage.metadata = {"generator_key": key, "codes_key": codes_key(tokenizer)}
        return stage

    return _train(make_stage, settings, settings.train.residual, run / "residual", resume)


def generator_checkpoint(run: Path, at: str = "best") -> Path:
    """The generator of ``run`` trained furthest: the residual stage's, if that stage followed on this generator."""
    generator, residual = (run / stage / f"{at}.safetensors" for stage in ("generator", "residual"))
    key = noted(run / "residual", "generator_key", at)
    followed = key is not None and key == _content_key(run / "generator" / "best.safetensors")
    return residual if followed else generator


def noted(folder: Path, name: str, at: str = "last") -> str | None:
    """What a stage's checkpoint says it was trained on; None where there is none, or it does not say."""
    path = folder / f"{at}.safetensors"
    return checkpoint.load(path, groups=()).info.get("metadata", {}).get(name) if path.is_file() else None


def _check_follows(folder: Path, name: str, key: str, on: str) -> None:
    """Refuses to resume or to use a stage whose input has changed since it was trained."""
    if noted(folder, name) not in (None, key):
        raise KmmError(
            "stage_outdated",
            f"{folder} was trained on a {on} other than the one now in {folder.with_name(on)}.",
            f"Delete {folder} to train it anew, or choose another run folder (--run).",
        )


def _content_key(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def codes_key(tokenizer: MotionTokenizer) -> str:
    """Identifies a tokenizer's codes. The key survives a bundle, which stores them in half precision."""
    return hashlib.sha256(tokenizer.quantizer.codes().half().cpu().numpy().tobytes()).hexdigest()[:16]


def check_codes(generator: Path, tokenizer: MotionTokenizer) -> None:
    """Checks that a generator was trained on this tokenizer's codes: with others, its tokens would mean other motion.

    Raises:
        KmmError: ``stage_outdated`` where the generator in this checkpoint was trained on other codes.
    """
    if noted(generator.parent, "codes_key", generator.stem) not in (None, codes_key(tokenizer)):
        raise KmmError(
            "stage_outdated",
            f"{generator} was trained on the codes of a tokenizer other than the one now in the run.",
            f"Delete {generator.parent} to train it anew, or put back the tokenizer (and decoder) "
            "that it was trained on.",
        )


def train_generator_on(
    rows: Callable[[], GeneratorRows],
    settings: RunSettings,
    folder: Path,
    *,
    tokenizer: MotionTokenizer,
    encoder: TextEncoder,
    resume: bool,
) -> TrainResult:
    """A generator in ``folder``; its rows are only asked for where there is something left to do."""
    _check_learning(settings)
    check_codes(folder / "last.safetensors", tokenizer)

    def make_stage() -> Stage:
        stage = generator_stage.build(
            tokenizer=tokenizer,
            encoder=encoder,
            text=settings.text,
            generator=settings.generator,
            aligner=settings.aligner,
            masking=settings.masking,
            rows=rows(),
            learning=settings.learning,
        )
        if settings.generator_start:
            _start_with(stage.objective, settings.generator_start)
        if settings.learning.distil_guidance:
            stage.objective.learn_from_start()
        stage.metadata = {"codes_key": codes_key(tokenizer)}
        return stage

    return _train(make_stage, settings, settings.train.generator, folder, resume)


def _start_with(objective: GeneratorObjective, start: str) -> None:
    """The weights of a generator's checkpoint, or of a bundle, which has no aligner: that learns anew. What was said of the
    start's clips stays familiar, beside what is said of these. A bundle's heads are led over to the codes of another tokenizer."""
    if start.endswith(".safetensors"):
        weights = dict(checkpoint.load(Path(start), groups=("ema",)).weights)
        familiar = weights.pop("familiar", None)
    else:
        bundle = load_bundle(start)
        familiar = bundle.familiar
        parts = {"generator": bundle.generator, "prompt_head": bundle.prompt_head}
        weights = {
            f"{part}.{name}": tensor
            for part, module in parts.items()
            for name, tensor in module.state_dict().items()
        }
        weights |= generator_stage.heads_for_codes(weights, bundle.generator.codes, objective.generator.codes)
    checkpoint.start_with(objective, weights, start)
    if familiar is not None and familiar.shape == objective.familiar.shape:
        both = torch.cat([objective.familiar, familiar.to(objective.familiar)])
        both = both[both.any(-1)]  # without the zeros of few sentences
        objective.familiar.copy_(centres_of(both, torch.Generator().manual_seed(0)))


def generator_rows(
    settings: RunSettings, tokenizer: MotionTokenizer, encoder: TextEncoder, home: Path
) -> GeneratorRows:
    """The token rows of a tokenizer, kept in ``<home>/rows-*``.

    Rows depend on the tokenizer and the data, so another tokenizer, or data prepared again, get new rows, and the old
    ones are removed. They don't depend on ``rows.text_tokens``, which only joins their prompts.
    """
    key = hashlib.sha256(safetensors.torch.save(tokenizer.state_dict()))
    key.update(f"{ROWS_VERSION} {data_key(settings.data)}".encode())
    for part in (settings.data, replace(settings.rows, text_tokens="prompt")):
        key.update(json.dumps(asdict(part)).encode())
    cache = home / f"rows-{key.hexdigest()[:12]}"
    rows = generator_stage.load_rows(
        tokenizer=tokenizer,
        data=lambda: MotionData(settings.data),
        encoder=encoder,
        settings=settings.rows,
        cache=cache,
    )
    for old in set(home.glob(f"rows-{'[0-9a-f]' * 12}")) - {cache}:
        shutil.rmtree(old, ignore_errors=True)
    return rows


def train_evaluator(settings: RunSettings, run: Path, *, resume: bool) -> TrainResult:
    """The evaluator in ``<run>/evaluator``; its best weights also as ``evaluator.safetensors`` there."""
    encoder = load_text_encoder(settings.text)
    result = _train(
        lambda: evaluator_stage.build(
            data=MotionData(settings.data),
            encoder=encoder,
            settings=settings.evaluator,
            captions=settings.rows.captions,
            seed=settings.rows.seed,
        ),
        settings,
        settings.train.evaluator,
        run / "evaluator",
        resume,
    )
    if result.best.is_file() and processes().is_main_process:
        _write_evaluator(result.best, encoder)
    return result


def _write_evaluator(best: Path, encoder: TextEncoder) -> None:
    """The evaluator of a checkpoint as a file of its own, beside it."""
    state = checkpoint.load(best, groups=("ema",))
    settings = build(RunSettings, state.info["metadata"]["settings"], name=str(best))
    form = representation(settings.data.representation)
    evaluator = Evaluator(form.num_features, encoder.width, settings.evaluator)
    checkpoint.load_into(evaluator, state.weights_of("evaluator."), best)
    path = best.with_name("evaluator.safetensors")
    save_evaluator(path, evaluator, encoder=encoder.name, representation=form.name)


def _train(
    make_stage: Callable[[], Stage], settings: RunSettings, how: TrainSettings, folder: Path, resume: bool
) -> TrainResult:
    done = finished(folder, how.steps) if resume else None
    if done:
        if processes().is_main_process and (changes := _changes(folder, settings)):
            print(
                f"kmm-train: {folder} is finished and stays as it is, but it was trained with other "
                "settings: "
                f"{', '.join(changes)}. Delete it to train it anew, or choose another run folder (--run).",
                file=sys.stderr,
            )
        return done
    # One process fills the caches of features and rows; the others find them.
    with processes().main_process_first():
        torch.manual_seed(how.seed)  # of the first weights
        stage = make_stage()
    stage.metadata = {**stage.metadata, "settings": asdict(settings), "data_key": data_now(settings)}
    return train(stage, how, folder, resume=resume)


# Of each stage, the settings that its weights come from, beside its own in [train]. The residual stage follows the generator's.
_WEIGHTS_COME_FROM = {
    "tokenizer": ("tokenizer_start", "data", "tokenizer"),
    "decoder": ("decoder_start", "data"),
    "generator": ("generator_start", "data", "rows", "generator", "aligner", "text", "masking", "learning"),
    "residual": (),
    "evaluator": ("data", "rows.captions", "rows.seed", "text", "evaluator"),
}
_OF_REPORTS = ("validate_every", "checkpoint_every", "log_every")


def _changes(folder: Path, settings: RunSettings) -> list[str]:
    """The settings that have changed since a stage was trained: "masking.strategy=random, now key_frames"."""
    stored = checkpoint.load(folder / "last.safetensors", groups=()).info["metadata"]["settings"]
    before, now = (dict(_flat(table)) for table in (stored, json.loads(json.dumps(asdict(settings)))))
    parts = (*_WEIGHTS_COME_FROM.get(folder.name, ()), f"train.{folder.name}")
    clips = noted(folder, "data_key")
    others = clips and "data" in parts and data_now(settings) not in ("", clips)
    return ["data.prepared, whose clips are others by now"] * bool(others) + [
        f"{name}={before[name]}, now {value}"
        for name, value in now.items()
        if any(f"{name}.".startswith(f"{part}.") for part in parts)
        and not name.endswith(_OF_REPORTS)
        and before.get(name, value) != value  # a setting that is newer than the checkpoint is no change
    ]


def data_now(settings: RunSettings) -> str:
    """Names the clips as they lie there; "" where they are gone, as on another machine."""
    try:
        return data_key(settings.data)
    except KmmError:
        return ""


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def finished(folder: Path, steps: int) -> TrainResult | None:
    """How the stage in ``folder`` ended, if all its steps are done."""
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    if not last.is_file():
        return None
    info = checkpoint.load(last, groups=()).info
    if info["step"] < steps:
        return None
    return TrainResult(info["step"], True, info["metrics"], info["best_value"], last, best)


def settings_of(run: Path) -> RunSettings:
    """The settings that the latest stage of ``run`` was trained with.

    Raises:
        KmmError: ``no_run`` where ``run`` holds no checkpoint.
    """
    for stage in ("generator", "tokenizer"):
        if (run / stage / "best.safetensors").is_file():
            return settings_of_stage(run / stage, "best")
    raise KmmError("no_run", f"{run} holds no trained stage.", "Train one first: kmm-train run.")


def settings_of_stage(folder: Path, at: str = "last") -> RunSettings:
    """The settings in the checkpoint ``at`` "last" or "best" of a stage's folder."""
    path = folder / f"{at}.safetensors"
    return build(RunSettings, checkpoint.load(path, groups=()).info["metadata"]["settings"], name=str(path))


def load_tokenizer(run: Path, stage: str = "decoder") -> MotionTokenizer:
    """The best tokenizer of ``run``, with the settings it was trained with; its decoder as ``stage`` left it."""
    path = run / "tokenizer" / "best.safetensors"
    if stage == "decoder" and (run / stage / "best.safetensors").is_file():
        path = run / stage / "best.safetensors"
    state = checkpoint.load(path)
    settings = build(RunSettings, state.info["metadata"]["settings"], name=str(path))
    tokenizer = MotionTokenizer(representation(settings.data.representation).num_features, settings.tokenizer)
    checkpoint.load_into(tokenizer, state.weights_of("tokenizer."), path)
    return tokenizer.eval()


def tokenizer_of(model: str | Path) -> MotionTokenizer:
    """The tokenizer of a run's folder or of a bundle.

    Raises:
        KmmError: ``bundle_missing`` where it is neither, or what reading raises.
    """
    if (Path(model) / "tokenizer").is_dir():
        return load_tokenizer(Path(model))
    return load_bundle(model).tokenizer
