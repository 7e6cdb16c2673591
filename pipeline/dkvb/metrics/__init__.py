"""Measures of what a model knows before and after unlearning."""
