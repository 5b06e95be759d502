"""The residual codebooks' predictor."""

import pytest
import torch

from kmm_core.generator.residual import ResidualPredictor
from kmm_core.generator.sequence import layout
from kmm_core.generator.settings import GeneratorSettings

SMALL = GeneratorSettings(d_model=32, layers=1, residual_layers=2, d_state=8, head_width=16, dropout=0.0)


@pytest.fixture
def predictor() -> ResidualPredictor:
    torch.manual_seed(0)
    # Residual codes get smaller from level to level.
    codes = torch.randn(4, 16, 8) * torch.tensor([1.0, 0.5, 0.2, 0.1])[:, None, None]
    return ResidualPredictor(codes, 12, SMALL).eval()


@torch.no_grad()
def test_a_level_reads_all_levels_before_it_at_every_token_and_none_from_it_on(predictor):
    places, text = layout([[5, 4]]), torch.randn(1, 2, 12)
    tokens = torch.randint(16, (1, 9, 4))
    for level in (1, 2, 3):
        before = predictor(tokens, torch.tensor([level]), text, places)
        assert before.shape == (1, 9, 16)
        for changed_level in range(4):
            changed = tokens.clone()
            changed[0, 2, changed_level] = (changed[0, 2, changed_level] + 1) % 16
            difference = (predictor(changed, torch.tensor([level]), text, places) - before).abs().amax(-1)[0]
            if changed_level < level:
                assert (difference > 1e-7).all()  # both ways, to the ends of the row
            else:
                assert (difference == 0).all()


@torch.no_grad()
def test_every_token_reads_every_prompt(predictor):
    places, tokens, level = layout([[5, 4]]), torch.randint(16, (1, 9, 4)), torch.tensor([2])
    text = torch.randn(1, 2, 12)
    before = predictor(tokens, level, text, places)
    for prompt in (0, 1):
        other = text.clone()
        other[0, prompt] += 1
        assert ((predictor(tokens, level, other, places) - before).abs().amax(-1) > 1e-6).all()


@torch.no_grad()
def test_rows_of_a_batch_may_be_at_different_levels_and_lengths(predictor):
    together = layout([[5, 4], [3]])
    tokens, text = torch.randint(16, (2, 9, 4)), torch.randn(2, 2, 12)
    both = predictor(tokens, torch.tensor([3, 1]), text, together)
    first = predictor(tokens[:1], torch.tensor([3]), text[:1], layout([[5, 4]]))
    second = predictor(tokens[1:, :3], torch.tensor([1]), text[1:, :1], layout([[3]]))
    torch.testing.assert_close(both[:1], first, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both[1:, :3], second, rtol=1e-5, atol=1e-5)


def test_it_learns_what_its_neighbours_say():
    """The next token's base code decides the residual: a head that sees one token alone could not know."""
    torch.manual_seed(0)
    predictor = ResidualPredictor(torch.randn(2, 8, 8), 4, SMALL).train()
    optimizer = torch.optim.Adam(predictor.parameters(), 3e-3)
    places, text, level = layout([[12]] * 16), torch.zeros(16, 1, 4), torch.ones(16, dtype=torch.long)
    for _ in range(150):
        tokens = torch.randint(8, (16, 12, 2))
        tokens[:, :-1, 1] = tokens[:, 1:, 0]
        logits = predictor(tokens, level, text, places)
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, :-1, 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1.0  # chance is ln 8 = 2.08
