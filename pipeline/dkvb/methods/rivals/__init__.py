"""Published methods that masking is compared with, a file each."""
