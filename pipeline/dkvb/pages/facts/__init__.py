"""What pages state: artifacts read and counted, in records and words."""
