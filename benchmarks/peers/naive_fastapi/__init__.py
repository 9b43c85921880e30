"""The enriched product on FastAPI as a first attempt often looks."""
