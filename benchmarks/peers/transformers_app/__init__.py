"""Sentiment by transformers and torch, in the process that answers HTTP."""
