"""The work on one codebook or a group of them: keys fitted to queries, and codes; arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dkvb.bottleneck.keys import fit_keys
from dkvb.recipe import Keys
from dkvb.runtime.seeding import generator


@dataclass(frozen=True)
class Fit:
    """What fitting keys takes beside queries."""

    keys: Keys
    seed: int
    rows: np.ndarray
    """(n,) the rows to fit to, among all whose queries there are."""
    device: str
    """"cpu" or "cuda"."""

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def order(self, epoch: int) -> np.ndarray:
        """The epoch's batch order, the same for every codebook, as in the official code."""
        return generator(self.seed, "quantize", "order", epoch).permutation(len(self.rows))

    def one(self, codebook: int, queries: np.ndarray) -> np.ndarray:
        """Keys (M, d) of a codebook, fitted on the CPU to its queries (N, d)."""
        rng = generator(self.seed, "quantize", "keys", codebook)
        own = queries if len(self.rows) == len(queries) else queries[self.rows]
        return fit_keys(own, order=self.order, rng=rng, **self._settings)

    def together(self, group: range, queries: np.ndarray) -> np.ndarray:
        """Keys (G, M, d) of a group, fitted on the GPU to its queries (G, N, d): always the whole group, since products
        over fewer codebooks may round otherwise."""
        from dkvb.bottleneck.keys_gpu import fit_keys_batched  # torch: not for workers on a CPU

        rngs = [generator(self.seed, "quantize", "keys", c) for c in group]
        return fit_keys_batched(
            queries[:, self.rows], order=self.order, rngs=rngs, device=self.device, **self._settings
        )

    @property
    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self.keys, name) for name in ("pairs", "epochs", "batch_size", "decay", "init")}
