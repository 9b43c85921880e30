"""The service beside what a user would otherwise write: same database, cache and upstreams."""
