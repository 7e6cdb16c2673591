"""Auditing unlearned models: dozens of originals and oracles, what all of them answer, and every measure of that."""
