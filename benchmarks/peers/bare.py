"""The yardstick for the cached answer: FastAPI handing out bytes that are already there.

The bytes are the enriched product that the service itself answered, so that both send the same.
"""

import os
from pathlib import Path

from fastapi import FastAPI, Response

BODY = Path(os.environ["BODY_FILE"]).read_bytes()

app = FastAPI()


@app.get("/product/{product_id}/enriched")
async def enriched(product_id: int) -> Response:
    return Response(BODY, media_type="application/json")
