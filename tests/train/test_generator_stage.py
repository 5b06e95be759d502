"""What a generator starts with where the tokenizer under it is another."""

import torch

from kmm_core.generator.motion_generator import GeneratorSettings, MotionGenerator
from kmm_core.train.generator_stage import heads_for_codes


def test_heads_follow_codes_that_changed_their_numbers():
    rng = torch.Generator().manual_seed(0)
    old = torch.randn(3, 8, 4, generator=rng)
    start = MotionGenerator(old, 5, GeneratorSettings(d_model=16, layers=1, residual_layers=1, head_width=16))
    order = torch.stack([torch.randperm(8, generator=rng) for _ in range(3)])
    new = old.gather(1, order[..., None].expand(-1, -1, 4)) + 0.01 * torch.randn(3, 8, 4, generator=rng)
    # The last code of each codebook goes where the first is, so two share what one had.
    new[:, -1] = new[:, 0]
    weights = {f"generator.{name}": tensor for name, tensor in start.state_dict().items()}
    led = MotionGenerator(new, 5, start.settings)
    led.load_state_dict(
        {k.removeprefix("generator."): v for k, v in (weights | heads_for_codes(weights, old, new)).items()}
    )

    hidden = torch.randn(2, 16, generator=rng)
    before = start.base_logits(hidden).exp().gather(1, order[:1].expand(2, -1))
    after = led.base_logits(hidden).exp()
    torch.testing.assert_close(after[:, 1:-1], before[:, 1:-1])
    torch.testing.assert_close(after[:, 0] + after[:, -1], before[:, 0])
    residual = start.residual
    for level in range(2):
        before = (hidden @ residual.heads[level] + residual.biases[level]).gather(
            1, order[level + 1][None].expand(2, -1)
        )
        after = hidden @ led.residual.heads[level] + led.residual.biases[level]
        torch.testing.assert_close(after[:, 1:-1], before[:, 1:-1])
        torch.testing.assert_close(after[:, [0, -1]].logsumexp(1), before[:, 0])
    assert heads_for_codes(weights, old, new[:, :7]) == {}
