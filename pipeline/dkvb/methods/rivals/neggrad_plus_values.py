"""NegGrad+ on the bottleneck's values: see `neggrad_plus` and `on_values`."""

from __future__ import annotations

from dkvb.methods.rivals.neggrad_plus import NegGradPlus
from dkvb.methods.rivals.on_values import ValuesRival

METHOD = ValuesRival("neggrad-plus-values", NegGradPlus())
