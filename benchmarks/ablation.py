"""Masking and alignment ablation at equal budget: small generators, the same rows, steps and seeds.

    python -m benchmarks.ablation RUN --prepared prepared -o docs/ablation.json

RUN is a run with a trained tokenizer. Every variant is judged on the same held-out tokens, hidden by the same random
masks at three ratios, whatever masks it was trained with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from kmm_core.aligner.text_motion_aligner import AlignerSettings
from kmm_core.generator.motion_generator import GeneratorSettings
from kmm_core.generator.sequence import MASK_ID, PAD_ID
from kmm_core.masking.masker import MaskingSettings
from kmm_core.text.encoder import TextSettings, load_text_encoder
from kmm_core.train import generator_stage
from kmm_core.train.generator_stage import GeneratorObjective
from kmm_core.train.motion_data import DataSettings, MotionData
from kmm_core.train.token_data import (
    CaptionOutputs,
    RowSettings,
    TokenBatch,
    TokenRows,
    cached_rows,
    encode_rows,
)
from training.runs import load_tokenizer

VARIANTS = {
    "key-frame masks, alignment": ("key_frame", "segment"),
    "random masks, alignment": ("random", "segment"),
    "key-frame masks, no alignment": ("key_frame", "none"),
}
SOURCES = ("cmu", "hdm05", "ui_prmd", "style100")
SIZES = GeneratorSettings(d_model=128)
RATIOS = (0.3, 0.6, 1.0)


@torch.no_grad()
def judge(objective: GeneratorObjective, batches: list[TokenBatch]) -> dict[str, float]:
    """Share of hidden first-codebook tokens restored exactly, by mask ratio, and their mean cross-entropy."""
    objective.eval()
    generator = objective.generator
    result: dict[str, float] = {}
    losses = []
    for ratio in RATIOS:
        right = count = 0
        for number, batch in enumerate(batches):
            rng = torch.Generator().manual_seed(number)
            valid = batch.places.pick(batch.places.is_motion[..., None])[..., 0]
            masked = (torch.rand(valid.shape, generator=rng) < ratio) & valid
            given = batch.tokens[..., 0]
            text = objective.prompt_head(batch.text)
            rows = objective._text_rows(text, torch.zeros(len(text), dtype=torch.bool), batch)
            tokens = batch.places.place(given.masked_fill(masked, MASK_ID), PAD_ID)
            hidden = batch.places.pick(generator.restore(tokens, rows, batch.places))
            logits = generator.base_logits(hidden[masked])
            right += int((logits.argmax(-1) == given[masked]).sum())
            count += int(masked.sum())
            losses.append(torch.nn.functional.cross_entropy(logits, given[masked]).item())
        result[f"restored, {ratio:.0%} hidden"] = right / count
    result["cross-entropy"] = statistics.mean(losses)
    return result


def train_variant(
    rows, outputs, encoder, tokenizer, masks: str, level: str, seed: int, steps: int, batch: int
):
    """One small generator."""
    torch.manual_seed(seed)
    text = TextSettings(width=128)
    objective = generator_stage.make_objective(
        tokenizer, encoder, text, SIZES, AlignerSettings(level=level), MaskingSettings(masks)
    )
    optimizer = torch.optim.AdamW(objective.parameters(), 1e-3, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    token_rows = TokenRows(rows, outputs)
    for step in range(steps):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
        with torch.autocast("cpu", torch.bfloat16):
            losses = objective(token_rows.make_batch(rng, batch), rng)
        optimizer.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return objective


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--prepared", default="prepared")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()

    tokenizer = load_tokenizer(arguments.run).eval().requires_grad_(False)
    data = MotionData(DataSettings(prepared=arguments.prepared, sources=SOURCES))
    encoder = load_text_encoder(TextSettings())
    with tempfile.TemporaryDirectory() as folder:
        settings = RowSettings(compositions=300, captions=4)
        train = cached_rows(
            Path(folder) / "a", lambda: encode_rows(tokenizer, data, data.split("train"), settings)
        )
        held_out = encode_rows(
            tokenizer, data, data.split("val", "test"), RowSettings(compositions=50, captions=4)
        )
    sentences = [
        caption for row in (*train, *held_out) for prompt in row.prompts for caption in prompt.captions
    ]
    outputs = CaptionOutputs(encoder, sentences)
    held_out.sort(key=lambda row: len(row.tokens))
    collator, rng = TokenRows(held_out, outputs), torch.Generator().manual_seed(0)
    batches = [collator.collate(held_out[start : start + 32], rng) for start in range(0, len(held_out), 32)]

    results = {name: [] for name in VARIANTS}
    for seed in range(arguments.seeds):
        for name, (masks, level) in VARIANTS.items():
            started = time.perf_counter()
            objective = train_variant(
                train, outputs, encoder, tokenizer, masks, level, seed, arguments.steps, arguments.batch
            )
            results[name].append(judge(objective, batches))
            print(
                f"seed {seed}, {name}: {results[name][-1]} ({time.perf_counter() - started:.0f} s)",
                flush=True,
            )
    rows = [
        {
            "variant": name,
            "seeds": list(range(arguments.seeds)),
            "metrics": {
                key: {
                    "mean": statistics.mean(run[key] for run in runs),
                    "sd": statistics.stdev(run[key] for run in runs) if len(runs) > 1 else 0.0,
                }
                for key in runs[0]
            },
        }
        for name, runs in results.items()
    ]
    report = {
        "note": f"{arguments.steps} steps, batch {arguments.batch} x 40 tokens, d_model {SIZES.d_model}, "
        f"sources {', '.join(SOURCES)}; {len(held_out)} held-out rows.",
        "rows": rows,
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
