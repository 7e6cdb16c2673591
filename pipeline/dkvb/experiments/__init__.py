"""Several stages together: membership inference, the paper's experiments as a plan."""
