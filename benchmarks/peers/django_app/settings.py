"""A small production configuration: no debug, no sessions, persistent database connections."""

import os
from urllib.parse import urlsplit

DEBUG = False
SECRET_KEY = "benchmark-only"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peers.django_app.urls"
INSTALLED_APPS = ["benchmarks.peers.django_app"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
USE_TZ = True
USE_I18N = False

_database = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _database.hostname,
        "PORT": _database.port,
        "USER": _database.username or "",
        "PASSWORD": _database.password or "",
        "NAME": _database.path.lstrip("/"),
        "CONN_MAX_AGE": None,  # one lasting connection per gunicorn thread
    }
}

CACHE_SECONDS = int(os.environ.get("CACHE_SECONDS", "0"))
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
        "KEY_PREFIX": "django",
    }
    if CACHE_SECONDS
    else {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
}
