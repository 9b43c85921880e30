"""Every way to stall an event loop, on a real server with real requests, and what is said of it."""
