"""Predictions under load: the service beside transformers called in a handler, on two cores."""
