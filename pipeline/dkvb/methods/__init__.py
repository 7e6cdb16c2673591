"""Unlearning methods and controls, one a file; `dkvb.registry` lists them."""
