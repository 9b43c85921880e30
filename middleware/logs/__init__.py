"""Log lines: one format for all of them, no secrets, and nobody waits for standard output."""

from .configuration import Logs, configured_logs
from .pipe import LinePipe
from .redaction import redact, redact_url

__all__ = ["LinePipe", "Logs", "configured_logs", "redact", "redact_url"]
