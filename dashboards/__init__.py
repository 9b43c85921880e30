"""Boards, alerts and runbooks as code; what Grafana and Prometheus read is in `generated/`."""
