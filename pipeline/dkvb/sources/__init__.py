"""Data sources, one kind of data set a file; `dkvb.registry` lists them."""
