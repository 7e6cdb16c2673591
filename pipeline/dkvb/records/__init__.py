"""What stages return, manifests hold and `--json` prints, as frozen records: one class is all three at once."""
