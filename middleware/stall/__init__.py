"""Who blocks the event loop, while it is still blocked."""
