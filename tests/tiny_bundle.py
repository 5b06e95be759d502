"""An untrained model of the smallest sizes, for tests of what stands around the model."""

from __future__ import annotations

from pathlib import Path


def save_tiny_bundle(folder: Path, form: str = "272") -> Path:
    """Writes the bundle of this representation into ``folder``. Loading it takes the MiniLM files of the package."""
    import torch

    from kmm_core.bundle import BundleConfig, save_bundle
    from kmm_core.generator.motion_generator import GeneratorSettings, MotionGenerator
    from kmm_core.sampling.masked_decoding import SamplingSettings
    from kmm_core.text.encoder import TextSettings
    from kmm_core.text.prompt_head import PromptHead
    from kmm_core.tokenizer.motion_tokenizer import MotionTokenizer, TokenizerSettings

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BundleConfig(
            name="tiny",
            version="0",
            licence="CC0-1.0",
            credits=("Nobody.",),
            representation=form,
            encoder_width=384,
            tokenizer=TokenizerSettings(width=16, code_width=8, num_codebooks=2, codebook_size=16),
            generator=GeneratorSettings(d_model=32, layers=1, d_state=8, head_width=16),
            text=TextSettings(width=16, layers=1, heads=2),
            sampling=SamplingSettings(steps=2),
        )
        tokenizer = MotionTokenizer(int(form), config.tokenizer)
        # Untrained codes are all zero; other tokens shall make other motion.
        for name, buffer in tokenizer.quantizer.named_buffers():
            if name.endswith("codes"):
                buffer.normal_()
        generator = MotionGenerator(tokenizer.quantizer.codes(), config.text.width, config.generator)
        prompt_head = PromptHead(config.encoder_width, config.text)
    save_bundle(
        folder, config, tokenizer=tokenizer, generator=generator, prompt_head=prompt_head, card="# Tiny\n"
    )
    return folder
