"""Residual vector quantization with EMA codebooks (SoundStream, Zeghidour et al. 2021; VQ-VAE-2's EMA update).

Shapes: B batch, T tokens, M vectors, K codebooks, V codes a codebook, C code width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional

# Width of the beam search (``ResidualQuantizer.search``).
BEAM = 32
# Vectors: their distances to all codes, for a beam of 32, fill 4 MB, which fits into caches.
SEARCHED_AT_ONCE = 64


@dataclass
class Quantized:
    """What the residual quantizer returns.

    Attributes:
        latents: [B, T, C] sum of the chosen codes; gradients pass straight through to the input.
        tokens: [B, T, K] chosen codes in [0, V). Codebooks dropped by quantizer dropout still have tokens.
        commitment: scalar, how far the encoder's output lies from the codes chosen for it.
    """

    latents: Tensor
    tokens: Tensor
    commitment: Tensor


class Codebook(nn.Module):
    """One codebook of V vectors, moved by an exponential moving average; unused codes restart on vectors in the batch."""

    def __init__(self, codebook_size: int, code_width: int, *, decay: float, restart_below: float):
        super().__init__()
        self.decay = decay
        self.restart_below = restart_below
        self.register_buffer("codes", torch.zeros(codebook_size, code_width))
        self.register_buffer("usage", torch.zeros(codebook_size))
        self.register_buffer("sums", torch.zeros(codebook_size, code_width))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index of the nearest code for each vector. [M, C] -> [M]."""
        # ||v - c||^2 without the part that is the same for every code.
        return torch.argmax(vectors @ self.codes.T - 0.5 * self.codes.square().sum(-1), dim=-1)

    @torch.no_grad()
    def learn(self, vectors: Tensor, indices: Tensor, rng: torch.Generator) -> None:
        """Moves the codes toward the vectors [M, C] they were chosen for [M] and restarts dead codes."""
        size = len(self.codes)
        counts = torch.bincount(indices, minlength=size).to(vectors.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, indices, vectors)
        candidates = vectors[torch.randint(len(vectors), (size,), generator=rng).to(vectors.device)]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
            torch.distributed.broadcast(candidates, src=0)
        self.usage.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.restart_dead_codes(candidates)
        self.codes.copy_(self.sums / self.usage.clamp_min(1e-5)[:, None])

    def restart_dead_codes(self, candidates: Tensor) -> None:
        """Replaces codes whose average use fell below the threshold by vectors of this batch. [V, C]."""
        dead = self.usage < self.restart_below
        self.sums[dead] = candidates[dead] * self.restart_below
        self.usage[dead] = self.restart_below

    @torch.no_grad()
    def start(self, vectors: Tensor, rng: torch.Generator) -> None:
        """Places the codes on random vectors of the first batch. [M, C]."""
        chosen = vectors[torch.randint(len(vectors), (len(self.codes),), generator=rng).to(vectors.device)]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast(chosen, src=0)
        self.codes.copy_(chosen)
        self.go_on()

    @torch.no_grad()
    def refit(self, vectors: Tensor, rng: torch.Generator, *, passes: int, rare: float) -> None:
        """Lloyd's algorithm on vectors [M, C]; codes used less than ``rare`` of the mean move to random vectors."""
        for remaining in reversed(range(passes)):
            indices = self.nearest(vectors)
            counts = torch.bincount(indices, minlength=len(self.codes)).to(vectors.dtype)
            sums = torch.zeros_like(self.codes).index_add_(0, indices, vectors)
            self.codes.copy_(
                torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], self.codes)
            )
            # The last passes restart nothing, so that the codes settle.
            if remaining > 1:
                moved = (counts < rare * counts.mean()).nonzero()[:, 0]
                self.codes[moved] = vectors[torch.randint(len(vectors), (len(moved),), generator=rng)]
        self.go_on()

    @torch.no_grad()
    def go_on(self) -> None:
        """Restarts the moving averages at the present codes: those of a bundle, which has no averages, or of a refit."""
        self.sums.copy_(self.codes)
        self.usage.fill_(1.0)
        self.ready.fill_(True)


class ResidualQuantizer(nn.Module):
    """K codebooks, each quantizing what the ones before it left over."""

    def __init__(
        self,
        *,
        num_codebooks: int,
        codebook_size: int,
        code_width: int,
        decay: float,
        restart_below: float,
        quantizer_dropout: float,
    ):
        super().__init__()
        self.quantizer_dropout = quantizer_dropout
        self.codebooks = nn.ModuleList(
            Codebook(codebook_size, code_width, decay=decay, restart_below=restart_below)
            for _ in range(num_codebooks)
        )
        # The codes of the last search and their inner products: for a short clip those take as long as the search.
        self._products: tuple[Tensor, list[list[Tensor]]] = torch.empty(0), []

    def forward(self, latents: Tensor, rng: torch.Generator | None = None) -> Quantized:
        """Quantizes latents [B, T, C]. With ``rng`` the codebooks learn, each from the nearest codes, and quantizer dropout
        is on; without it the codes are searched for, which restores unseen motion better and takes longer."""
        # In half precision, rounding can pick the wrong nearest code, so the search never runs under autocast.
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(latents.float(), rng)

    def _quantize(self, latents: Tensor, rng: torch.Generator | None) -> Quantized:
        batch, length, _ = latents.shape
        keep = self._codebooks_kept(batch, rng).to(latents.device)
        residual = latents.detach()
        vectors = residual.reshape(-1, residual.shape[-1])
        found = None
        if rng is None:
            found = self.search(vectors)
        total = torch.zeros_like(residual)
        indices, commitment = [], []
        for level, codebook in enumerate(self.codebooks):
            flat = residual.reshape(-1, residual.shape[-1])
            if rng is not None and not codebook.ready:
                codebook.start(flat, rng)
            chosen = codebook.nearest(flat) if found is None else found[:, level]
            code = codebook.codes[chosen].view_as(residual)
            if rng is not None:
                codebook.learn(flat, chosen, rng)
            used = (level < keep).to(latents.dtype)[:, None, None]
            total = total + used * code
            commitment.append((used * (latents - total).square()).mean())
            residual = residual - code
            indices.append(chosen.view(batch, length))
        quantized = latents + (total - latents).detach()
        return Quantized(quantized, torch.stack(indices, dim=-1), torch.stack(commitment).mean())

    @torch.no_grad()
    def search(self, vectors: Tensor, beam: int = BEAM) -> Tensor:
        """Finds codes whose sum is close to each vector, by beam search. [M, C] -> [M, K].

        The nearest code of a residual codebook is not always the one from which the next codebooks get closest. In the
        first codebook the nearest code is always taken: while decoding, it has to represent the motion alone at first.
        """
        codes = self.codes()
        known, products = self._products
        if known.device != codes.device or not torch.equal(known, codes):
            products = [
                [2 * earlier @ later.T for earlier in codes[:level]] for level, later in enumerate(codes)
            ]
            self._products = codes, products
        parts = vectors.split(SEARCHED_AT_ONCE)
        return torch.cat([_search(part, codes, products, beam) for part in parts])

    def _codebooks_kept(self, batch: int, rng: torch.Generator | None) -> Tensor:
        """How many codebooks each sample uses, [B]: all K, or 1 to K where quantizer dropout strikes."""
        count = len(self.codebooks)
        keep = torch.full((batch,), count)
        if rng is None or self.quantizer_dropout == 0:
            return keep
        dropped = torch.rand(batch, generator=rng) < self.quantizer_dropout
        return torch.where(dropped, torch.randint(1, count + 1, (batch,), generator=rng), keep)

    @torch.no_grad()
    def refit(self, latents: Tensor, rng: torch.Generator, *, passes: int = 12, rare: float = 0.3) -> None:
        """Fits all codebooks anew to latents [M, C] on the CPU, so that each code stands for a fair share of them.

        While the encoder is still changing, codes drift to places that motion rarely visits; this brings them back.
        """
        residual = latents
        for codebook in self.codebooks:
            codebook.refit(residual, rng, passes=passes, rare=rare)
            residual = residual - codebook.codes[codebook.nearest(residual)]

    def codes(self) -> Tensor:
        """All code vectors, [K, V, C]."""
        return torch.stack([codebook.codes for codebook in self.codebooks])

    def lookup(self, tokens: Tensor) -> Tensor:
        """Sum of the code vectors of tokens [B, T, k] for the first k codebooks -> [B, T, C]."""
        return sum(
            functional.embedding(tokens[..., level], self.codebooks[level].codes)
            for level in range(tokens.shape[-1])
        )


def _search(vectors: Tensor, codes: Tensor, products: list[list[Tensor]], beam: int) -> Tensor:
    """``ResidualQuantizer.search``. ``products[l][e]``: twice the inner products of codebooks e and l, [V, V], for e < l."""
    size = codes.shape[1]
    tokens = torch.empty(len(vectors), 1, 0, dtype=torch.long, device=vectors.device)
    # Of the vector v without the codes chosen so far, whose sum is s: |v - s - c|^2 = |v - s|^2 + |c|^2 - 2 v.c + 2 s.c
    squared = vectors.square().sum(-1, keepdim=True)
    for level, of_level in enumerate(codes):
        alone = of_level.square().sum(-1) - 2 * vectors @ of_level.T
        distance = squared[..., None] + alone[:, None]
        for earlier, product in enumerate(products[level]):
            distance += functional.embedding(tokens[..., earlier], product)
        kept = 1 if level in (0, len(codes) - 1) else min(beam, distance.shape[1] * size)
        # The best pairs of a parent and a code have codes that are among the best with their best parents.
        likely = distance.amin(1).topk(min(kept, size), largest=False).indices
        fewer = distance.gather(2, likely[:, None].expand(-1, distance.shape[1], -1))
        squared, best = fewer.flatten(1).topk(kept, largest=False)
        parent, code = best // likely.shape[1], likely.gather(1, best % likely.shape[1])
        tokens = torch.cat([_rows(tokens, parent), code[..., None]], dim=-1)
    return tokens[:, 0]


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of each vector's own table: [M, W, X] and [M, w] -> [M, w, X]."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))
