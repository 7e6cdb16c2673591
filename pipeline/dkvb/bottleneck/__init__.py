"""The discrete key-value bottleneck: projection, keys, lookup, values (paper, section 3); knows neither disk nor
command line."""
