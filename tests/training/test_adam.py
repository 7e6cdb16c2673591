"""Adam without torch's own class: the same bits, and none of torch's compiler imported."""

import subprocess
import sys

import torch

from dkvb.training.adam import Adam

SCRIPT = """
import sys, torch
from dkvb.training.loop import Schedule, Unit, fit
head = torch.nn.Linear(3, 2)
history = fit(head, torch.ones(4, 3), torch.tensor([0, 1, 1, 1]), Schedule(2, 0.1, 2), Unit("here", 0))
assert history.rows[1]["loss"] < history.rows[0]["loss"]
sys.exit("torch._dynamo" in sys.modules)
"""


def _module() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Linear(5, 3), torch.nn.Linear(2, 2))


def test_three_steps_are_those_of_torch_to_the_bit() -> None:
    """Of a module one part of which never has a gradient, and one only from the second step on."""
    ours, theirs = _module(), _module()
    optimisers = Adam(ours, 0.03), torch.optim.Adam(theirs.parameters(), lr=0.03, fused=True)
    rows = torch.randn(3, 6, 7)
    for module, optimiser in zip((ours, theirs), optimisers, strict=True):
        module[0].requires_grad_(False)
        for step in range(3):
            optimiser.zero_grad()
            module[1](module[0](rows[step])).square().sum().backward()
            optimiser.step()
            module[0].requires_grad_(True)
    for mine, theirs_too, start in zip(ours.parameters(), theirs.parameters(), _module().parameters(), strict=True):
        torch.testing.assert_close(mine, theirs_too, rtol=0, atol=0)
        assert torch.equal(mine, start) == (mine.shape in ((2, 2), (2,))), "all but the last layer have moved"
    steps = [float(optimisers[0].state[parameter]["step"]) for parameter in ours[:2].parameters()]
    assert steps == [2, 2, 3, 3]


def test_training_imports_no_compiler() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT]).returncode == 0
