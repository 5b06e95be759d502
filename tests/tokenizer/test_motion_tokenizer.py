"""The residual quantizer against a slow version, dead codes, and the tokenizer's shapes and errors."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from kmm_core.errors import KmmError
from kmm_core.motion import kinematics, kinematics_torch, rotations
from kmm_core.tokenizer import quantizer as quantizer_module
from kmm_core.tokenizer.motion_tokenizer import MotionTokenizer, TokenizerSettings, low_pass
from kmm_core.tokenizer.quantizer import Codebook, ResidualQuantizer

SMALL = TokenizerSettings(width=16, code_width=8, num_codebooks=3, codebook_size=12)


def quantizer(dropout: float = 0.0) -> ResidualQuantizer:
    return ResidualQuantizer(
        num_codebooks=3,
        codebook_size=12,
        code_width=8,
        decay=0.9,
        restart_below=0.5,
        quantizer_dropout=dropout,
    )


def filled_quantizer() -> ResidualQuantizer:
    made = quantizer()
    for codebook in made.codebooks:
        codebook.codes.normal_(generator=torch.Generator().manual_seed(3))
    return made


def test_tokens_are_the_nearest_codes_of_what_is_left():
    made = filled_quantizer()
    latents = torch.randn(10, 8, generator=torch.Generator().manual_seed(0))
    narrow = made.search(latents, beam=1)
    for vector, tokens in zip(latents, narrow, strict=True):
        left = vector.clone()
        for level in range(3):
            distances = (made.codebooks[level].codes - left).norm(dim=-1)
            assert tokens[level] == distances.argmin()
            left -= made.codebooks[level].codes[distances.argmin()]
    learning = quantizer()
    learning.load_state_dict(made.state_dict())
    for codebook in learning.codebooks:
        codebook.decay = 1.0  # nothing moves before the next codebook is asked
        codebook.go_on()
    assert torch.equal(learning(latents[None], torch.Generator()).tokens[0], narrow)


def test_long_motion_is_searched_piece_by_piece(monkeypatch):
    made = filled_quantizer()
    latents = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(0))
    whole = made(latents).tokens
    monkeypatch.setattr(quantizer_module, "SEARCHED_AT_ONCE", 7)
    assert torch.equal(made(latents).tokens, whole)


def test_search_finds_the_best_residual_codes_of_all():
    made = filled_quantizer()
    latents = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(0))
    result = made(latents)
    torch.testing.assert_close(made.lookup(result.tokens), result.latents)
    first = made.search(latents.flatten(0, 1), beam=1)[:, 0].view(2, 20)
    assert torch.equal(result.tokens[..., 0], first)
    wide = made.search(latents.flatten(0, 1), beam=12)
    pairs = made.codebooks[1].codes[:, None] + made.codebooks[2].codes
    for vector, tokens in zip(latents.flatten(0, 1), wide, strict=True):
        left = (vector - made.codebooks[0].codes[tokens[0]] - pairs).norm(dim=-1)
        assert left[tokens[1], tokens[2]] == left.min()
    narrow = made.lookup(made.search(latents.flatten(0, 1), beam=1)[None])[0]
    found = (latents - result.latents).flatten(0, 1).norm(dim=-1)
    greedy = (latents.flatten(0, 1) - narrow).norm(dim=-1)
    assert (found <= greedy + 1e-5).all() and (found < greedy - 1e-3).any()


def test_gradients_pass_straight_through():
    latents = torch.randn(1, 4, 8, requires_grad=True)
    filled_quantizer()(latents).latents.sum().backward()
    assert torch.equal(latents.grad, torch.ones_like(latents))


def test_codes_move_to_the_mean_of_their_vectors():
    codebook = Codebook(2, 1, decay=0.0, restart_below=0.0)
    codebook.codes.copy_(torch.tensor([[0.0], [10.0]]))
    vectors = torch.tensor([[1.0], [3.0], [9.0]])
    codebook.learn(vectors, codebook.nearest(vectors), torch.Generator())
    torch.testing.assert_close(codebook.codes, torch.tensor([[2.0], [9.0]]))
    codebook.decay = 0.75
    codebook.learn(torch.tensor([[4.0]]), torch.tensor([0]), torch.Generator())
    # Sums 0.75 * 4 + 0.25 * 4 over uses 0.75 * 2 + 0.25 * 1.
    torch.testing.assert_close(codebook.codes, torch.tensor([[4 / 1.75], [9.0]]))


def test_dead_codes_restart_on_vectors_of_the_batch():
    codebook = Codebook(3, 1, decay=0.0, restart_below=0.5)
    codebook.codes.copy_(torch.tensor([[2.0], [1.0], [1000.0]]))
    vectors = torch.tensor([[2.0], [1.0]])
    codebook.learn(vectors, codebook.nearest(vectors), torch.Generator().manual_seed(0))
    assert codebook.codes[2].item() in (2.0, 1.0)


def test_quantizer_dropout_uses_fewer_codebooks_in_training_only():
    made = quantizer(dropout=1.0)
    latents = torch.randn(64, 4, 8)
    made(latents, torch.Generator().manual_seed(0))
    whole = made(latents).latents
    dropped = made(latents, torch.Generator().manual_seed(1)).latents
    assert (whole - latents).norm() < (dropped - latents).norm()


def test_shapes_and_the_error_for_a_part_of_a_token():
    tokenizer = MotionTokenizer(20, SMALL)
    tokens = tokenizer.encode(torch.randn(2, 16, 20))
    assert tokens.shape == (2, 4, 3)
    assert tokenizer.decode(tokens).shape == (2, 16, 20)
    with pytest.raises(KmmError, match="frames=7 is not a positive multiple of 4"):
        tokenizer.encode(torch.randn(1, 7, 20))


def test_torch_kinematics_equal_numpys():
    q = rotations.normalize(torch.randn(5, 22, 4, dtype=torch.float64).numpy())
    expected = kinematics.joint_positions(torch.zeros(5, 3, dtype=torch.float64).numpy(), q)
    given = kinematics_torch.joint_positions(torch.from_numpy(rotations.to_6d(q)))
    torch.testing.assert_close(given, torch.from_numpy(expected))


def test_refit_spreads_the_codes_over_what_there_is():
    rng = torch.Generator().manual_seed(1)
    centres = 5 * torch.randn(12, 8, generator=rng)
    latents = centres[torch.randint(12, (600,), generator=rng)] + 0.1 * torch.randn(600, 8, generator=rng)
    made = quantizer()
    for codebook in made.codebooks:
        # All codes in a corner that the latents never visit.
        codebook.codes.normal_(100, 1, generator=rng)
    made.refit(latents, rng)
    result = made(latents[None])
    assert len(result.tokens[0, :, 0].unique()) >= 10
    first = made.codebooks[0].codes[result.tokens[0, :, 0]]
    assert (first - latents).norm(dim=-1).mean() < 3
    assert (result.latents[0] - latents).norm(dim=-1).mean() < (first - latents).norm(dim=-1).mean()


def test_the_last_pass_of_a_refit_only_settles():
    rng = torch.Generator().manual_seed(1)
    latents = torch.randn(300, 8, generator=rng)
    codebook = quantizer().codebooks[0]
    codebook.start(latents, rng)
    nearest = codebook.nearest(latents)
    codebook.refit(latents, rng, passes=1, rare=100.0)  # all are rare, and none moves
    for code in nearest.unique():
        torch.testing.assert_close(codebook.codes[code], latents[nearest == code].mean(0))


@pytest.mark.parametrize(
    ("hertz", "least", "most"), [(0.0, 0.999, 1.001), (2.0, 0.98, 1.02), (7.5, 0.0, 0.45), (12.0, 0.0, 0.02)]
)
def test_the_filter_keeps_slow_motion_and_takes_the_rate_of_tokens(hertz, least, most):
    kernel = low_pass(1 / 4).double().numpy()
    place = np.arange(len(kernel)) - len(kernel) // 2
    gain = abs(np.sum(kernel * np.exp(-2j * np.pi * hertz / 30 * place)))
    assert least <= gain <= most
    assert low_pass(1).tolist() == [1]


def test_decoding_filters_every_column_and_holds_the_ends():
    torch.manual_seed(0)
    tokenizer = MotionTokenizer(7, SMALL).eval()
    for codebook in tokenizer.quantizer.codebooks:
        codebook.codes.normal_()
    tokens = torch.randint(0, 12, (2, 5, 3))
    latents = tokenizer.quantizer.lookup(tokens)
    normal = tokenizer.decode_latents(latents).detach()
    tokenizer.mean.copy_(torch.arange(7))
    tokenizer.std.fill_(2)
    rough = tokenizer.decode_latents(latents).detach().numpy()
    np.testing.assert_allclose(rough, 2 * normal.numpy() + np.arange(7), atol=1e-5)
    assert np.ptp(rough, axis=1).min() > 0.01
    expected = correlate1d(rough, tokenizer.smoothing.numpy(), axis=1, mode="nearest")
    np.testing.assert_allclose(tokenizer.decode(tokens).numpy(), expected, atol=1e-5)


def test_search_follows_codes_that_change():
    made, vectors = filled_quantizer(), torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    before = made.search(vectors)
    made.codebooks[1].codes.mul_(-1)
    fresh = quantizer()
    fresh.load_state_dict(made.state_dict())
    after = made.search(vectors)
    assert torch.equal(after, fresh.search(vectors)) and not torch.equal(after, before)
