"""sentry-sdk, errors only: its FastAPI integration switches itself on."""

import os

import sentry_sdk
from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """It patches FastAPI and Starlette themselves, so nothing is done to `app`."""
    sentry_sdk.init(dsn=os.environ["SENTRY_DSN"])
