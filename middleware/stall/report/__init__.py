"""A stall, told: to Prometheus, the log, the traces and Sentry."""
