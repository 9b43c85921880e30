"""The enriched product on Flask, gunicorn's threads, psycopg 3 and requests."""
