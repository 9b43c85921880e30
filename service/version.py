"""The version of the distribution; an image holds the code without its metadata."""

__version__ = "0.1.0"
