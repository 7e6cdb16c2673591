"""dkvb: class unlearning by masking a discrete key-value bottleneck (arXiv 2311.15268)."""

__version__ = "0.1.0"
