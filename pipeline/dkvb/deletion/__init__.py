"""Deletion requests: masks that add up, their verdict, erasure and record."""
