"""Commands beside the stages, a topic a file."""
