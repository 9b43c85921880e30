"""Errors on the wire: RFC 9457, `application/problem+json`."""

from pydantic import BaseModel, Field


class FieldFault(BaseModel):
    """One field that was not accepted, and why."""

    field: str = Field(examples=["path.product_id"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """What went wrong, in the members of RFC 9457, plus the id under which our logs know it."""

    type: str = Field(examples=["about:blank"], description="A URI that names the kind of problem.")
    title: str = Field(examples=["Not Found"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(examples=["There is no product 10001."])
    request_id: str = Field(examples=["0197a4e2c5d07f0b8f6e2d4c1b3a5f60"])
    errors: list[FieldFault] | None = Field(
        default=None, description="With status 422: each field that was not accepted."
    )
