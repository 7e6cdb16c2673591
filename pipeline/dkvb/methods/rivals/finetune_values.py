"""FT on the bottleneck's values: see `finetune` and `on_values`."""

from __future__ import annotations

from dkvb.methods.rivals.finetune import Finetune
from dkvb.methods.rivals.on_values import ValuesRival

METHOD = ValuesRival("finetune-values", Finetune())
