"""The enriched product on Django: its ORM, its Redis cache, gunicorn's threads and requests."""
