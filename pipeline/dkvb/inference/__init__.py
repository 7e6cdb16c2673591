"""Trained models in use: loaded, predicting, exported, unlearned in memory."""
