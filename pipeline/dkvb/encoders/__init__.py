"""Frozen encoders, their weights, and the loops that feed them."""
