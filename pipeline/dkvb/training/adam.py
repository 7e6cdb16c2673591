"""Adam by torch's own fused kernel, without `torch.optim.Adam`: making one of those imports the whole of torch's
compiler, which takes longer than training a small model."""

from __future__ import annotations

import torch
from torch.optim.adam import adam

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""As in the paper's tables."""


class Adam:
    """Adam (0.9, 0.999, 1e-8) in one fused pass over parameters, gradients and moments: the bits of
    `torch.optim.Adam(fused=True)`.

    `state` holds of each parameter that a step has changed its moments "exp_avg" and "exp_avg_sq", of its shape, and
    the number of steps "step", a float32 scalar.
    """

    def __init__(self, module: torch.nn.Module, lr: float) -> None:
        self.parameters, self.lr = list(module.parameters()), lr
        self.state: dict[torch.nn.Parameter, dict[str, torch.Tensor]] = {}

    def restore(self, parameter: torch.nn.Parameter, state: dict[str, torch.Tensor]) -> None:
        """Go on from the state of a parameter."""
        self.state[parameter] = state

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter that has a gradient."""
        changed = [parameter for parameter in self.parameters if parameter.grad is not None]
        states = [self._state(parameter) for parameter in changed]
        fused_step(
            list(changed),
            [parameter.grad for parameter in changed if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            self.lr,
        )

    def settle(self) -> None:
        """Nothing: every step changes all there is to change."""

    def _state(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        if parameter not in self.state:
            self.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self.state[parameter]


def fused_step(
    values: list[torch.Tensor],
    gradients: list[torch.Tensor],
    first: list[torch.Tensor],
    second: list[torch.Tensor],
    steps: list[torch.Tensor],
    lr: float,
) -> None:
    """Change values and their moments in place, and count the step: torch's own kernel, as the paper's tables have it.

    Args:
        values, gradients, first, second: float32, of one shape each.
        steps: those before this one, float32 scalars.
    """
    adam(
        values,
        gradients,
        first,
        second,
        [],
        steps,
        fused=True,
        amsgrad=False,
        beta1=BETAS[0],
        beta2=BETAS[1],
        lr=lr,
        weight_decay=0.0,
        eps=EPSILON,
        maximize=False,
    )
