"""kmm-train: from motion files to a released model, one command per step."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit(
        "kmm-train: what training needs is not installed. Install it: pip install 'kmm-core[train]'."
    ) from None

from kmm_core.errors import KmmError

if TYPE_CHECKING:  # it loads torch
    from .config import RunSettings

app = typer.Typer(
    help="Train text-to-motion models: prepare, tokenizer, generator, residual, sample, export; run "
    "does all of them; evaluator trains the network that evaluate measures models with.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    str,
    typer.Argument(
        help="A TOML file, or tiny, starter, starter-nc, finetune, finetune-nc, distilled, transformer, ablation, humanml3d, babel."
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="Folder of the run; by default runs/<name of the config>.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="A setting: train.tokenizer.steps=100. Repeatable.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")]
Device = Annotated[str, typer.Option(help="auto or cpu.")]
EvaluatorFile = Annotated[
    Path,
    typer.Option(
        "--evaluator",
        help="File evaluator.safetensors of kmm-train evaluator.",
        show_default="that of the shipped models' data",
    ),
]

EVALUATOR = Path(__file__).parent / "evaluators" / "starter-nc.safetensors"
SKIPPED_SHOWN = 20  # files; all are in the list beside the manifest
STOPPED = 130  # The exit code of a program ended by Ctrl-C.


@app.command()
def prepare(
    recipes: Annotated[
        list[str],
        typer.Argument(
            help="Names of recipes, or paths of such files of your own; own: your BVH files, with captions.csv or captions.txt beside them."
        ),
    ],
    data: Annotated[
        Path, typer.Option(help="The data set, or the folder that holds it or its archive.")
    ] = Path("."),
    out: Annotated[Path, typer.Option(help="Where the prepared clips go.")] = Path("prepared"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes; by default one per core.")
    ] = None,
) -> None:
    """Turn motion files into clips with captions on the canonical skeleton."""
    for recipe in recipes:
        _prepare(recipe, data, out, workers)


def _stage_command(stage: str, help: str) -> None:
    """The command of one stage; they all take the same."""

    def command(
        config: Config,
        run: RunFolder = None,
        set_: Overrides = None,
        resume: Resume = False,
        device: Device = "auto",
    ) -> None:
        _use_device(device)
        _train_stage(stage, config, run, set_, resume)

    app.command(name=stage, help=help)(command)


_stage_command("tokenizer", "Train the motion tokenizer.")
_stage_command(
    "decoder",
    "Train the tokenizer's decoder further, with its tokens frozen; may run beside the generator's "
    "training, once one of the two has a checkpoint.",
)
_stage_command("generator", "Train the generator with alignment, on the run's tokenizer.")
_stage_command(
    "residual",
    "Train only the trained generator's residual codebooks further; a step costs less than half of "
    "the generator's.",
)
_stage_command(
    "evaluator", "Train the network that measures how well motion fits text; it needs no other stage."
)


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="starter, starter-nc, a bundle's folder, a run's folder, or a generator's checkpoint."
        ),
    ],
    data: Annotated[str, typer.Option(help="starter, humanml3d or babel.")] = "starter",
    folder: Annotated[Path, typer.Option(help="Prepared clips, or the folder of the data set.")] = Path(
        "prepared"
    ),
    evaluator: Annotated[
        Path,
        typer.Option(
            help="File of kmm-train evaluator; with --released the folder of the released one.",
            show_default="that of the shipped models' data",
        ),
    ] = EVALUATOR,
    released: Annotated[
        bool, typer.Option("--released", help="The evaluator is the one its authors published.")
    ] = False,
    baseline: Annotated[list[str] | None, typer.Option(help="A model to compare with. Repeatable.")] = None,
    repetitions: Annotated[
        int,
        typer.Option(min=1, help="Times to generate and measure everything; the published protocol has 20."),
    ] = 3,
    clips: Annotated[
        int | None, typer.Option(help="At most this many held-out clips, 32 or more; all by default.")
    ] = None,
    directional: Annotated[
        int,
        typer.Option(
            min=32,
            help="At most this many clips whose captions name a side or a turn; 10000 takes all, as published.",
        ),
    ] = 256,
    samples: Annotated[
        int, typer.Option(help="Samples of one prompt, for MultiModality: 10 to 64; published: 30.")
    ] = 12,
    prompts: Annotated[
        int, typer.Option(min=1, help="Prompts sampled that often, for MultiModality; published: 100.")
    ] = 16,
    compositions: Annotated[
        int,
        typer.Option(
            min=1,
            help="At most this many sequences of 32 prompts in each repetition; 1000 takes all, as "
            "published.",
        ),
    ] = 9,
    out: Annotated[
        Path, typer.Option(help="Folder for the page; its pictures go into the folder images beside it.")
    ] = Path("docs/benchmarks"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 0,
    device: Device = "auto",
) -> None:
    """Measure a model on held-out clips: text, sequences, directions, geometry, copying."""
    from kmm_core.evaluate.evaluation import EvaluationPlan

    from .evaluate import evaluate as run_evaluation

    _use_device(device)
    written = run_evaluation(
        model,
        kind=data,
        folder=folder,
        evaluator=evaluator,
        released=released,
        baselines=baseline or (),
        plan=EvaluationPlan(
            repetitions=repetitions,
            clips=clips,
            directional=directional,
            compositions=compositions,
            samples=samples,
            prompts=prompts,
            seed=seed,
        ),
        out=out,
        device=device,
    )
    print(f"Wrote {written[0]}.")


@app.command()
def decay(
    model: Annotated[str, typer.Argument(help="The model to measure, named as for evaluate.")],
    evaluator_file: EvaluatorFile = EVALUATOR,
    baseline: Annotated[str, typer.Option(help="The masked Transformer to compare with.")] = "",
    folder: Annotated[Path, typer.Option(help="Folder of prepared clips.")] = Path("prepared"),
    count: Annotated[
        int, typer.Option(help="Sub-sequences at each range of places, a multiple of 96.")
    ] = 192,
    repetitions: Annotated[int, typer.Option(min=1, help="Times to repeat it, each with other prompts.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the page.")] = Path("docs/benchmarks"),
    images: Annotated[Path, typer.Option(help="Folder for its picture.")] = Path("docs/images"),
    name: Annotated[str, typer.Option(help="Name of the page's files, without suffix.")] = "memory_decay",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Memory decay",
    device: Device = "auto",
) -> None:
    """Measure whether the last prompts of long timelines are followed as well as the first."""
    from kmm_core.evaluate.decay import DecayPlan

    from .run_decay import run_decay

    _use_device(device)
    page = run_decay(
        model,
        baseline=baseline,
        evaluator=evaluator_file,
        folder=folder,
        plan=DecayPlan(count=count, repetitions=repetitions, seed=seed),
        out=out,
        images=images,
        device=device,
        name=name,
        title=title,
    )
    print(f"Wrote {page}.")


@app.command(name="run")
def run_all(config: Config, run: RunFolder = None, set_: Overrides = None, device: Device = "auto") -> None:
    """Run all stages of a config in order. Continues where it stopped and skips what is finished."""
    _use_device(device)
    from kmm_core.train.loop import processes

    from . import config as configs
    from . import runs

    settings = configs.load(config, set_ or ())
    folder = run or _default_run(config)
    runs.check_before(settings, folder)
    prepared = Path(settings.data.prepared)
    with processes().main_process_first():
        made_up = settings.data.sources == ("synthetic",)
        if made_up and not (prepared / "synthetic" / "manifest.jsonl").is_file():
            _prepare("synthetic", Path("."), prepared, None)
    for stage in ("tokenizer", "decoder", "generator", *["residual"] * settings.residual_stage):
        _train_stage(stage, config, folder, set_, True)
    if processes().is_main_process:
        export(folder, now=settings)


@app.command()
def ablate(
    config: Config,
    tokenizer_from: Annotated[
        str, typer.Option("--tokenizer-from", help="The run or bundle whose tokenizer all generators use.")
    ],
    evaluator_file: EvaluatorFile = EVALUATOR,
    run: RunFolder = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds, such as 0,1,2; each variant is trained once per seed.")
    ] = "0,1,2",
    variants: Annotated[
        str, typer.Option(help="Variants to train, with commas: default,random-masks,...; all by default.")
    ] = "",
    set_: Overrides = None,
    clips: Annotated[int, typer.Option(min=32, help="Held-out clips to measure each variant on.")] = 320,
    out: Annotated[Path, typer.Option(help="Folder for the page.")] = Path("docs/benchmarks"),
    images: Annotated[Path, typer.Option(help="Folder for its picture.")] = Path("docs/images"),
    name: Annotated[str, typer.Option(help="Name of the page's files, without suffix.")] = "ablation_table",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Ablations",
    device: Device = "auto",
) -> None:
    """Train small generators that differ in one setting, measure them, and say which of the paper's orderings hold."""
    _use_device(device)
    from .run_ablation import run_ablation

    finished = run_ablation(
        config,
        set_ or (),
        folder=run or _default_run(config),
        tokenizer_from=tokenizer_from,
        evaluator=evaluator_file,
        seeds=_numbers(seeds),
        variants=[name.strip() for name in variants.split(",") if name.strip()],
        clips=clips,
        out=out,
        images=images,
        name=name,
        title=title,
    )
    if not finished:
        print("kmm-train: stopped; the same command goes on from there.", file=sys.stderr)
        raise SystemExit(STOPPED)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    prompts: Annotated[list[str], typer.Argument(help="What the person does; one clip per prompt.")],
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="Length of each clip.")] = 4.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other motion.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; by default <run>/samples.")] = None,
) -> None:
    """Generate from a run, trained or still training: a contact sheet, and an .npz for each prompt."""
    from .sample import sample_run

    print(f"Wrote {sample_run(run, prompts, out or run / 'samples', seconds=seconds, seed=seed)}.")


@app.command(name="export")
def export_run(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; by default <run>/bundle.")] = None,
    set_: Overrides = None,
    last: Annotated[
        bool,
        typer.Option(
            "--last",
            help="Export the last weights instead of the best, of the generator or of the residual "
            "stage trained on its best.",
        ),
    ] = False,
) -> None:
    """Write the run's weights as a bundle, which kmm-generate loads."""
    export(run, out, set_ or (), "last" if last else "best")


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="A prepared source, or the folder that holds them.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("inspect"),
    count: Annotated[int, typer.Option(min=1, help="How many clips of each source.")] = 16,
    gifs: Annotated[int, typer.Option(min=0, help="How many of these clips to also write as GIF.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed shows other clips.")] = 0,
    match: Annotated[str, typer.Option(help="Only clips whose id, captions or labels contain this.")] = "",
) -> None:
    """Draw prepared clips with their captions."""
    from .inspect_clips import inspect_clips

    result = inspect_clips(folder, out, count=count, gifs=gifs, seed=seed, match=match)
    print(f"{len(result.clips)} clips on {len(result.files)} pictures in {out}.")


def export(
    run: Path,
    out: Path | None = None,
    overrides: Iterable[str] = (),
    generator_at: str = "best",
    now: RunSettings | None = None,
) -> None:
    """The bundle of ``run``, see ``export_bundle``."""
    from .export import CARD, export_bundle
    from .runs import generator_checkpoint

    out = out or run / "bundle"
    kept = (out / CARD).is_file()
    print(f"Wrote {export_bundle(run, out, overrides, generator_at, now)}.")
    residual = run / "residual" / f"{generator_at}.safetensors"
    if residual.is_file() and generator_checkpoint(run, generator_at) != residual:
        print(
            f"{residual.parent} was trained on another generator and is not in it; "
            f"delete it and train it anew (kmm-train run or residual)."
        )
    if kept:
        print(f"{out / CARD} was there before and stays; delete it to have it written anew.")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``kmm-train``: expected errors are one line on stderr and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path may hold letters that a redirected stream can't
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments)
    except KmmError as error:
        print(f"kmm-train: {error}", file=sys.stderr)
        _leave(1)
    except KeyboardInterrupt:
        print("kmm-train: stopped.", file=sys.stderr)
        _leave(STOPPED)
    except SystemExit as done:
        _leave(done.code)


def _leave(code: int | str | None) -> NoReturn:
    """Exit; in a process of several that trained, without what may abort it on the way."""
    if "kmm_core.train.loop" in sys.modules:
        from kmm_core.train.loop import end_process

        end_process(code if isinstance(code, int) else int(code is not None))
    raise SystemExit(code)


def _prepare(recipe: str, data: Path, out: Path, workers: int | None) -> None:
    from .prepare import SKIPPED
    from .prepare import prepare as prepare_recipe

    summary = prepare_recipe(recipe, data=data, out=out, workers=workers)
    print(
        f"{summary.source}: {summary.clips} clips, {summary.minutes:.1f} min, {summary.captions} captions "
        f"in {summary.folder} ({summary.new_takes} takes new, {summary.seconds:.0f} s)."
    )
    if summary.note:
        print(f"  note: {summary.note}", file=sys.stderr)
    for file, reason in summary.skipped[:SKIPPED_SHOWN]:
        print(f"  skipped {file}: {reason}", file=sys.stderr)
    if len(summary.skipped) > SKIPPED_SHOWN:
        more = len(summary.skipped) - SKIPPED_SHOWN
        print(f"  skipped {more} more: {summary.folder / SKIPPED}", file=sys.stderr)
    for reason, number in sorted(summary.dropped.items()):
        print(f"  dropped {number}: {reason}")
    if summary.dropped:
        print(f"  which ones: {summary.folder / SKIPPED}")


def _train_stage(
    stage: str, config: str, run: Path | None, overrides: list[str] | None, resume: bool
) -> None:
    from kmm_core.train.loop import processes

    from . import config as configs
    from . import runs

    settings = configs.load(config, overrides or ())
    folder = run or _default_run(config)
    start = {
        "tokenizer": runs.train_tokenizer,
        "decoder": runs.train_decoder,
        "generator": runs.train_generator,
        "residual": runs.train_residual,
        "evaluator": runs.train_evaluator,
    }[stage]
    result = start(settings, folder, resume=resume)
    if processes().is_main_process:
        shown = ", ".join(f"{key} {value:.4g}" for key, value in result.metrics.items())
        print(f"{stage}: step {result.step}, {shown or 'not validated yet'}. Weights in {folder / stage}.")
    if not result.finished:
        again = "the same command" if resume else "--resume"
        print(f"kmm-train: stopped at step {result.step}; {again} goes on from there.", file=sys.stderr)
        raise SystemExit(STOPPED)


def _use_device(device: str) -> None:
    """Tell accelerate, before it looks for a GPU."""
    if device not in ("auto", "cpu"):
        raise KmmError("bad_device", f"--device {device} is not known; expected auto or cpu.")
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"


def _numbers(text: str) -> list[int]:
    """The seeds in "0,1,2"."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise KmmError(
            "bad_seeds", f"--seeds {text} is not a list of whole numbers, each 0 or more.", "Write 0,1,2."
        )
    return numbers


def _default_run(config: str) -> Path:
    return Path("runs") / Path(config).stem


if __name__ == "__main__":
    main()
