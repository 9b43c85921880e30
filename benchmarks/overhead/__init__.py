"""What observing costs: the middleware beside its peers, each around the same small FastAPI app."""
