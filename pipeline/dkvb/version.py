"""The version, in a module of its own, so that the build and everything below the API can read it."""

__version__ = "0.2.0"
