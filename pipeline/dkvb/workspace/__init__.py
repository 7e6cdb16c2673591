"""All that is on disk: artifacts, their arrays, rows and lineage, and deletion requests."""
