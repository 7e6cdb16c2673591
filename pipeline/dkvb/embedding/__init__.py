"""Stage 1's parts: shards, unreadable images, contents that train and test share."""
