"""Seeding, devices, threads and processes, progress: what every layer above runs on."""
