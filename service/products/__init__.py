"""One enriched product out of many sources."""
