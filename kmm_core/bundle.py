"""A released model as a folder: ``config.json``, weights in safetensors, ``MODEL_CARD.md``. Never a pickle.

``model.safetensors`` holds the generator, the learned text layers and the centres of familiar prompts
(``text.familiarity``); ``tokenizer.safetensors`` holds the motion tokenizer, which bundles beside each other may share.
Half precision on disk, float32 in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from .atomic_write import atomic_write, make_folder_of
from .errors import KmmError, lacks_memory
from .generator.motion_generator import GeneratorSettings, MotionGenerator
from .motion.representation import representation
from .sampling.masked_decoding import SamplingSettings
from .text.encoder import TextEncoder, TextSettings, load_text_encoder
from .text.prompt_head import PromptHead
from .tokenizer.motion_tokenizer import MotionTokenizer, TokenizerSettings

FORMAT = 1
BUNDLES = Path(__file__).parent / "bundles"
CONFIG, MODEL, TOKENIZER, CARD = "config.json", "model.safetensors", "tokenizer.safetensors", "MODEL_CARD.md"
FAMILIAR_KEY = "familiar"  # in MODEL
# The moving averages of the codebooks are needed for training only, so bundles leave them out.
_TRAINING_ONLY = (".sums", ".usage", ".ready")
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class BundleConfig:
    """What ``config.json`` says.

    Attributes:
        name: of the model.
        version: of the model.
        licence: of the weights, as an SPDX identifier where there is one.
        credits: acknowledgements that the data's licences require.
        representation: "272" or "263".
        encoder_width: width of the text encoder's outputs.
        tokenizer_file: path of the tokenizer's weights, relative to the bundle's folder.
        tokenizer, generator, text, sampling: settings.
        text_tokens: one text token for each prompt of a timeline, or one ("sentence") for the whole timeline.
    """

    name: str
    version: str
    licence: str
    credits: tuple[str, ...]
    representation: str
    encoder_width: int
    tokenizer: TokenizerSettings
    generator: GeneratorSettings
    text: TextSettings
    sampling: SamplingSettings
    tokenizer_file: str = TOKENIZER
    text_tokens: Literal["prompt", "sentence"] = "prompt"


@dataclass
class Bundle:
    """A loaded model, in evaluation mode.

    ``familiar`` holds the centres of its training captions, [K, W], see ``text.familiarity``; None in models without
    them.
    """

    config: BundleConfig
    tokenizer: MotionTokenizer
    generator: MotionGenerator
    prompt_head: PromptHead
    encoder: TextEncoder
    familiar: Tensor | None = None


def bundle_folder(name: str | Path) -> Path:
    """The folder of a bundle, given the name of one that ships with the package or the path of any other.

    Raises:
        KmmError: ``bundle_missing``.
    """
    for folder in (BUNDLES / name, Path(name)):
        # Not Path.is_file: it raises an error if a folder may not be read or the name is too long.
        if os.path.isfile(folder / CONFIG):
            return folder
    if os.path.isfile(Path(name) / "bundle" / CONFIG):
        raise KmmError(
            "bundle_missing",
            f"{name} is the folder of a training run; its model lies in the folder bundle in it.",
            f"Name that: {Path(name) / 'bundle'}",
        )
    known = ", ".join(sorted(path.parent.name for path in BUNDLES.glob(f"*/{CONFIG}")))
    raise KmmError(
        "bundle_missing",
        f"Model '{name}' is neither a folder with a {CONFIG} nor a model that ships with KMM "
        f"({known or 'none here'}).",
        "Correct the name or path, or reinstall kmm-core.",
    )


def load_bundle(name: str | Path) -> Bundle:
    """Reads a bundle.

    Raises:
        KmmError: ``bundle_missing``, ``bundle_broken`` or ``bundle_foreign``.
    """
    folder = bundle_folder(name)
    config = read_config(folder)
    form = representation(config.representation)
    with _sizes_checked(folder / CONFIG):
        tokenizer = MotionTokenizer(form.num_features, config.tokenizer)
    _load(tokenizer, _read_weights(folder / config.tokenizer_file), folder / config.tokenizer_file)
    tensors = _read_weights(folder / MODEL)
    with _sizes_checked(folder / CONFIG):
        generator = MotionGenerator(tokenizer.quantizer.codes(), config.text.width, config.generator)
        prompt_head = PromptHead(config.encoder_width, config.text)
    for module, prefix in ((generator, "generator."), (prompt_head, "prompt_head.")):
        part = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        _load(module, part, folder / MODEL)
    familiar = tensors.get(FAMILIAR_KEY)
    if familiar is not None and (familiar.ndim != 2 or familiar.shape[1] != config.encoder_width):
        raise KmmError(
            "bundle_foreign",
            f"{folder / MODEL} does not fit its {CONFIG}: '{FAMILIAR_KEY}' has the shape "
            f"{tuple(familiar.shape)}, "
            f"expected (any, {config.encoder_width}).",
            "Re-export the model.",
        )
    encoder = load_text_encoder(config.text)
    for module in (tokenizer, generator, prompt_head):
        module.eval().requires_grad_(False)
    return Bundle(config, tokenizer, generator, prompt_head, encoder, familiar)


def save_bundle(
    folder: Path,
    config: BundleConfig,
    *,
    tokenizer: MotionTokenizer | None,
    generator: MotionGenerator,
    prompt_head: PromptHead,
    card: str,
    familiar: Tensor | None = None,
) -> None:
    """Writes a bundle. ``tokenizer`` is None if ``config.tokenizer_file`` names another bundle's.

    Raises:
        KmmError: ``cannot_write`` and the like if the folder can't be written.
    """
    make_folder_of(folder / CONFIG)
    if tokenizer is not None:
        _write_weights(folder / TOKENIZER, _released(tokenizer, ""))
    weights = _released(generator, "generator.") | _released(prompt_head, "prompt_head.")
    if familiar is not None:
        weights[FAMILIAR_KEY] = familiar.half().contiguous()
    _write_weights(folder / MODEL, weights)
    with atomic_write(folder / CARD) as path:
        path.write_text(card, encoding="utf-8")
    with atomic_write(folder / CONFIG) as path:
        path.write_text(json.dumps({"format": FORMAT, **asdict(config)}, indent=2) + "\n", encoding="utf-8")


def read_config(folder: Path) -> BundleConfig:
    """``config.json`` of a bundle.

    Raises:
        KmmError: ``bundle_broken`` if it can't be read, ``bundle_foreign`` if it is not a KMM bundle of this format.
    """
    path = folder / CONFIG
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KmmError(
            "bundle_broken", f"{path} cannot be read ({error}).", "Reinstall or re-export it."
        ) from None
    found = table.pop("format", None) if isinstance(table, dict) else None
    if found != FORMAT:
        raise KmmError(
            "bundle_foreign",
            f"{path} is not a KMM model of format {FORMAT} (it says {found!r}).",
            "Use a model exported by this version's kmm-train export.",
        )
    try:
        return _settings(
            BundleConfig,
            {
                **table,
                "tokenizer": _settings(TokenizerSettings, table["tokenizer"]),
                "generator": _settings(GeneratorSettings, table["generator"]),
                "text": _settings(TextSettings, table["text"]),
                "sampling": _settings(SamplingSettings, table["sampling"]),
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, KmmError) as error:
        raise KmmError(
            "bundle_foreign", f"{path} does not describe a KMM model ({error}).", "Re-export the model."
        ) from None


@contextmanager
def _sizes_checked(path: Path) -> Iterator[None]:
    """Turns the many errors with which torch's modules refuse impossible sizes into one KmmError."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AssertionError, MemoryError) as error:
        raise KmmError(
            "bundle_foreign",
            f"{path} describes a model that cannot be built ({str(error)[:200]}).",
            "Re-export the model.",
        ) from None


def _settings(kind: type[_Settings], table: Mapping[str, Any]) -> _Settings:
    """Settings from JSON.

    Raises:
        TypeError: for a missing field, an unknown one, or a value of the wrong type.
    """
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    # Before the settings check themselves: those checks take the types for granted.
    for name, hint in get_type_hints(kind).items():
        if name in values and not _fits(values[name], hint):
            raise TypeError(
                f"{name} is {values[name]!r}; expected {hint.__name__ if isinstance(hint, type) else hint}"
            )
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    return type(value) in (int, float) if hint is float else type(value) is hint


def _released(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The weights in half precision, for a bundle; the normalisation statistics keep their full precision."""
    return {
        prefix + name: (tensor if name in ("mean", "std") else tensor.half()).contiguous()
        for name, tensor in module.state_dict().items()
        if not name.endswith(_TRAINING_ONLY)
    }


def _write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    with atomic_write(path) as partial:
        partial.write_bytes(save(tensors))  # the errors that save_file raises are not OSErrors


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise KmmError(
            "bundle_broken", f"The model's file {path} is missing.", "Reinstall or re-export the model."
        )
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError) as error:
        if lacks_memory(error):
            raise MemoryError from error
        raise KmmError(
            "bundle_broken",
            f"{path} is not a complete safetensors file ({error}).",
            "Reinstall or re-export the model.",
        ) from None


def _load(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    wanted = {
        name: value.shape for name, value in module.state_dict().items() if not name.endswith(_TRAINING_ONLY)
    }
    given = {name: value.shape for name, value in tensors.items()}
    if wanted != given:
        wrong = sorted(name for name in {**wanted, **given} if wanted.get(name) != given.get(name))
        raise KmmError(
            "bundle_foreign",
            f"{path} does not fit its {CONFIG}: {len(wrong)} weights differ, the first is '{wrong[0]}' "
            f"(file {_shape(given, wrong[0])}, expected {_shape(wanted, wrong[0])}).",
            "Re-export the model.",
        )
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise KmmError("bundle_broken", f"{path} holds weights that are not finite.", "Re-export the model.")
    module.load_state_dict(tensors, strict=False)


def _shape(shapes: Mapping[str, Any], name: str) -> str:
    return str(tuple(shapes[name])) if name in shapes else "none"
