"""Settings of a training run: TOML in, frozen dataclasses out, every problem listed at once.

The checker is generic: it reads the dataclasses' own fields and types, so a new setting needs no line here.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kmm_core.aligner.text_motion_aligner import AlignerSettings
from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import EvaluatorSettings
from kmm_core.generator.motion_generator import GeneratorSettings
from kmm_core.masking.masker import MaskingSettings
from kmm_core.sampling.masked_decoding import SamplingSettings
from kmm_core.text.encoder import TextSettings
from kmm_core.tokenizer.motion_tokenizer import TokenizerSettings
from kmm_core.train.generator_stage import LearningSettings
from kmm_core.train.motion_data import DataSettings
from kmm_core.train.token_data import RowSettings
from kmm_core.train.train_settings import TrainSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = Path(__file__).parent / "configs"

T = TypeVar("T")


@dataclass(frozen=True)
class StageSettings:
    """``[train]``: how each stage is trained."""

    tokenizer: TrainSettings = field(default_factory=TrainSettings)
    decoder: TrainSettings = field(default_factory=TrainSettings)
    generator: TrainSettings = field(default_factory=TrainSettings)
    residual: TrainSettings = field(default_factory=TrainSettings)
    evaluator: TrainSettings = field(default_factory=TrainSettings)


@dataclass(frozen=True)
class ExportSettings:
    """``[export]``: what the model card of the bundle says.

    Attributes:
        name: of the bundle.
        version: of the bundle.
        licence: of the weights, as an SPDX identifier where there is one. NC in it marks a model trained on
            non-commercial recordings, which is then measured on them, too.
        credits: one sentence for each data set that requires an acknowledgement.
        tokenizer_file: path of the tokenizer, relative to the bundle's folder; one in another bundle is not copied.
    """

    name: str = "model"
    version: str = "0.1.0"
    licence: str = "unknown"
    credits: tuple[str, ...] = ()
    tokenizer_file: str = "tokenizer.safetensors"


@dataclass(frozen=True)
class RunSettings:
    """Everything a run needs; a field for each section of the TOML file.

    Attributes:
        tokenizer_run: folder of a run, or a bundle ("starter"), whose tokenizer to use; if empty, the run trains its
            own.
        tokenizer_start: the same, for a tokenizer to train further (fine-tuning).
        decoder_start: the same, for a tokenizer of which only the decoder is trained further, so that no token changes.
        generator_start: a generator's checkpoint (a ``.safetensors`` file) or a bundle to start from (fine-tuning);
            weights that fit are taken over.
        residual_stage: whether ``kmm-train run`` trains the residual codebooks alone after the generator.
        data: which prepared clips.
        rows: timelines joined from them for the generator.
    """

    tokenizer_run: str = ""
    tokenizer_start: str = ""
    decoder_start: str = ""
    generator_start: str = ""
    residual_stage: bool = True

    data: DataSettings = field(default_factory=DataSettings)
    rows: RowSettings = field(default_factory=RowSettings)
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    aligner: AlignerSettings = field(default_factory=AlignerSettings)
    text: TextSettings = field(default_factory=TextSettings)
    masking: MaskingSettings = field(default_factory=MaskingSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    evaluator: EvaluatorSettings = field(default_factory=EvaluatorSettings)
    train: StageSettings = field(default_factory=StageSettings)
    export: ExportSettings = field(default_factory=ExportSettings)


def load(config: str | Path, overrides: Iterable[str] = ()) -> RunSettings:
    """The settings in a TOML file, or in one of the package's by name (``tiny``, ``starter``, ...).

    ``extends = "other.toml"`` at the top of a file starts from that file's settings: one beside it, or one of the
    package's.

    Args:
        config: file or name.
        overrides: ``section.key=value`` in TOML's notation; text may go without quotes.

    Raises:
        KmmError: ``no_config``, ``bad_config`` (all problems listed).
    """
    path = _find(config)
    table = _read(path)
    problems = []
    for override in overrides:
        problems += _override(table, override)
    return build(RunSettings, table, name=path.name, problems=problems)


def build(cls: type[T], table: Mapping[str, Any], *, name: str, problems: Iterable[str] = ()) -> T:
    """An instance of the dataclass ``cls`` from a table of a TOML file.

    Args:
        cls: a dataclass with a default for every field; fields may be dataclasses.
        table: the values.
        name: of the file, for the message.
        problems: found before; listed with the others.

    Raises:
        KmmError: ``bad_config`` with every unknown key, wrong type and value out of range.
    """
    found = list(problems)
    result = _dataclass(cls, table, "", found)
    if found:
        lines = "".join(f"\n  {number}. {problem}" for number, problem in enumerate(found, 1))
        many = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise KmmError("bad_config", f"{name} has {many}:{lines}")
    return result


def override(settings: RunSettings, overrides: Iterable[str]) -> RunSettings:
    """Settings with ``section.key=value`` changes.

    Raises:
        KmmError: ``bad_config``.
    """
    table = json.loads(json.dumps(asdict(settings)))  # tuples as lists, as TOML has them
    problems = [problem for change in overrides for problem in _override(table, change)]
    return build(RunSettings, table, name="--set", problems=problems)


def _find(config: str | Path, folder: Path = Path()) -> Path:
    """The file ``config`` in ``folder``, or the packaged one of that name."""
    path = folder / config
    packaged = CONFIGS / f"{str(config).removesuffix('.toml')}.toml"
    if path.is_file():
        return path
    if packaged.is_file():
        return packaged
    names = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.toml")))
    raise KmmError("no_config", f"{path} is neither a file nor one of {names}.", "Name a TOML file.")


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in seen:
        raise KmmError("bad_config", f"{path} extends itself.", "Remove one extends line.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors write a mark first
    except OSError as error:
        raise KmmError("no_config", f"Cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KmmError("bad_config", f"{path} is not TOML: {error}.") from error
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise KmmError("bad_config", f"{path}: extends is {base!r}; expected the name of a TOML file.")
    return _merge(_read(_find(base, path.parent), (*seen, path.resolve())), table)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merge(result[key], value) if both else value
    return result


def _override(table: dict[str, Any], override: str) -> list[str]:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        return [f"--set {override!r} is not of the form section.key=value."]
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            return [f"--set {override!r}: {section} is a value, not a section."]
    table[last] = value
    return []


def _dataclass(cls: type[T], table: Any, where: str, problems: list[str]) -> T | None:
    """``table`` as ``cls``; where that fails, None and new ``problems``."""
    if not isinstance(table, Mapping):
        problems.append(f"{where} is {_shown(table)}; expected a section [{where}].")
        return None
    hints, names = get_type_hints(cls), [item.name for item in dataclasses.fields(cls)]
    values: dict[str, Any] = {}
    before = len(problems)
    for key, given in table.items():
        path = f"{where}.{key}" if where else key
        if key not in names:
            close = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}."
            problems.append(f"{path} is not a setting; {hint}")
            continue
        count = len(problems)
        value = _value(hints[key], given, path, problems)
        if len(problems) == count:
            values[key] = value
    refusal = _refusal(cls, values)
    if refusal:
        # A dataclass stops at the first value that it refuses: so each value is tried alone as well.
        alone = [found for key in values if (found := _refusal(cls, {key: values[key]}))]
        refusals = dict.fromkeys(alone or [refusal])
        problems += [f"[{where}] {refusal}" if where else refusal for refusal in refusals]
    return None if len(problems) > before else cls(**values)


def _refusal(cls: type, values: dict[str, Any]) -> str | None:
    try:
        cls(**values)
    except KmmError as error:
        return str(error)
    except ValueError as error:
        return str(error)
    return None


def _value(kind: Any, given: Any, path: str, problems: list[str]) -> Any:
    """``given`` as a value of the annotated type ``kind``; where that fails, new ``problems``."""
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, given, path, problems)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        attempts = []
        for choice in (choice for choice in inner if choice is not type(None)):
            attempt: list[str] = []
            value = _value(choice, given, path, attempt)
            if not attempt:
                return value
            attempts.append(attempt)
        problems += attempts[0]
    elif origin is Literal:
        if given in inner:
            return given
        problems.append(f"{path} is {_shown(given)}; expected one of {', '.join(map(repr, inner))}.")
    elif origin in (tuple, list) and isinstance(given, list):
        count = None if origin is list or inner[-1] is Ellipsis else len(inner)
        if count is not None and count != len(given):
            problems.append(f"{path} has {len(given)} values; expected {count}.")
            return None
        kinds = inner if count is not None else inner[:1] * len(given)
        values = [
            _value(kind, item, f"{path}[{index}]", problems)
            for index, (kind, item) in enumerate(zip(kinds, given, strict=True))
        ]
        return origin(values)
    elif origin is dict and isinstance(given, Mapping):
        return {key: _value(inner[1], item, f"{path}.{key}", problems) for key, item in given.items()}
    elif kind is float and type(given) in (int, float):
        return float(given)
    elif kind in (int, str, bool) and type(given) is kind:
        return given
    elif kind is Path and isinstance(given, str):
        return Path(given).expanduser()
    else:
        problems.append(f"{path} is {_shown(given)}; expected {_NAMES.get(origin or kind, kind)}.")
    return None


_NAMES = {
    int: "a whole number",
    float: "a number",
    str: 'text in quotes, such as "name"',
    bool: "true or false",
    Path: 'a path in quotes, such as "prepared"',
    tuple: "a list, such as [1, 2]",
    list: "a list, such as [1, 2]",
    dict: "a section",
}


def _shown(value: Any) -> str:
    """A value as TOML would show it, short."""
    if isinstance(value, Mapping):
        return "a section"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
