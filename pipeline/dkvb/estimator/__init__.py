"""The key-value bottleneck as a scikit-learn estimator: arrays in, predictions out, without a workspace."""
