"""The dashboards for people without Grafana: the generated JSON, drawn from live data."""
