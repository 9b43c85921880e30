"""What Alertmanager tells: its webhook JSON, version 4, as far as people need it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

Receiver = Literal["pages", "tickets", "watchdog"]
Status = Literal["firing", "resolved"]

_MOST_ALERTS = 250


class Alert(BaseModel):
    """One alert of a notification."""

    model_config = ConfigDict(frozen=True)

    status: Status
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: str = ""  # noqa: N815 - as Alertmanager calls it
    endsAt: str = ""  # noqa: N815

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def name(self) -> str:
        """What its rule is called."""
        return self.labels.get("alertname", "?")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def severity(self) -> str:
        """`page`, `ticket`; `none` of those that nobody has to do anything about."""
        return self.labels.get("severity", "none")


class Notification(BaseModel):
    """Alerts of one group, those that are over among them."""

    model_config = ConfigDict(frozen=True)

    status: Status
    alerts: list[Alert] = Field(max_length=_MOST_ALERTS)


class Received(Notification):
    """A notification, when it came, and for whom."""

    received_at: datetime
    receiver: Receiver
