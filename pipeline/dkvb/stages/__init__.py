"""The five stages, in order: embed, quantize, train, unlearn, report; one `run(recipe, workspace)` each."""
