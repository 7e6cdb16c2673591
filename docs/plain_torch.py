"""Use a folder written by `dkvb export` without dkvb: `python plain_torch.py FOLDER FEATURES.safetensors
OUT.safetensors`.

Reads `x` (N, D) and writes `logits` (N, L), in the order of the config's `classes`, which leave forgotten ones out.
Needs torch and safetensors.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


class Bottleneck(torch.nn.Module):
    def __init__(self, folder: str) -> None:
        super().__init__()
        self.config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        for name, tensor in load_file(Path(folder) / "model.safetensors").items():
            self.register_buffer(name, tensor)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, D) -> logits (B, L): the mean over codebooks of the values of the k nearest keys."""
        total = features.new_zeros(len(features), self.values.shape[2])
        for projection, keys, values, centre, allowed in zip(
            self.projection, self.keys, self.values, self.centre, self.allowed, strict=True
        ):
            kept = allowed.nonzero()[:, 0]  # ids of the pairs that are not masked
            k = min(self.config["top_k"], len(kept))
            if k == 0:
                continue  # a codebook without any casts no vote
            queries = features @ projection - centre
            distances = torch.cdist(queries.double(), (keys[kept] - centre).double())
            nearest = distances.sort(dim=1, stable=True).indices[:, :k]  # of equals, the first
            votes = torch.zeros_like(total)
            for place in range(k):
                votes = votes + values[kept[nearest[:, place]]]
            total += votes / k if self.config["pool"] == "mean" else votes
        total /= len(self.keys)
        total[:, self.config["excluded"]] = -torch.inf
        return total


if __name__ == "__main__":
    folder, source, target = sys.argv[1:]
    model = Bottleneck(folder)
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in load_file(source)["x"].float().split(256)])
    save_file({"logits": logits}, target)
    names = model.config["classes"]
    for row, best in enumerate(logits.argmax(1).tolist()[:10]):
        print(row, names[best])
