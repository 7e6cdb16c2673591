"""SSD on the bottleneck's values: masking made soft.

The equations are those of `ssd`. The gradient of a sample's loss in a value that it selects is (p − [y]) / J, else 0,
so that mean squares are sums over selections. A value is dampened towards 0, no vote at all, by as much as the forget
set needs it more than all data do.
"""

from __future__ import annotations

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder, add_rows
from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.importance import probabilities
from dkvb.methods.rivals.on_values import ValuesRival
from dkvb.methods.rivals.ssd import TRIED, damped
from dkvb.methods.rivals.student import Passes, Student
from dkvb.training.linear_head import BATCH


class SsdOfValues:
    """Takes the place of a gradient rival."""

    settings_tried = TRIED

    def train(self, student: Student, setting: Setting) -> None:
        assert isinstance(student.module, Decoder)
        forget = importance_of_values(student.module, student, student.forget_rows)
        everything = importance_of_values(student.module, student, torch.arange(len(student.labels)))
        values = student.module.values
        with torch.no_grad():
            values.copy_(torch.from_numpy(damped(values.numpy(), forget, everything, setting)))

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.train + size.forget, 0)


def importance_of_values(decoder: Decoder, student: Student, rows: torch.Tensor) -> np.ndarray:
    """(C * M, L) float32 mean squared gradients over rows (n,), but for a factor that is the same whatever the
    rows."""
    weights = None if decoder.weights is None else decoder.weights.numpy() ** 2
    total = np.zeros(decoder.values.shape, np.float32)
    for part in rows.split(BATCH):
        ids, labels = student.inputs[part].numpy(), student.labels[part].numpy()
        with torch.no_grad():
            gradient = probabilities(decoder(student.inputs[part]).numpy())
        gradient[np.arange(len(labels)), labels] -= 1
        add_rows(total, ids, np.ascontiguousarray(gradient**2, np.float32), weights)
    return total / np.float32(len(rows))


METHOD = ValuesRival("ssd-values", SsdOfValues())
