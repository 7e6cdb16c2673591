"""The trained models of a seed, and what they predict and select under masks."""
