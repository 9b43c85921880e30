"""Who is told what, and what is not worth telling: `generated/alertmanager.yaml`."""

from dashboards.names import INSTANCE, JOB
from dashboards.yaml_text import yaml_of

# Of what shows the alerts in docker-compose.yml; elsewhere, of whatever pages people.
WEBHOOK_URL = "http://webhook:8080"

_BUDGET_LABELS = ["alertname", JOB, "slo"]


def alertmanager() -> dict[str, object]:
    """Pages at once, tickets together, the watchdog to whoever waits for it."""
    return {
        "route": {
            "receiver": "tickets",
            "group_by": ["alertname", JOB],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "1d",
            "routes": [
                {
                    "matchers": ['alertname = "Watchdog"'],
                    "receiver": "watchdog",
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "1m",
                },
                {
                    "matchers": ['severity = "page"'],
                    "receiver": "pages",
                    "group_wait": "5s",
                    "group_interval": "1m",
                    "repeat_interval": "1h",
                },
                {"matchers": ['severity = "ticket"'], "receiver": "tickets"},
            ],
        },
        "receivers": [
            {
                "name": name,
                "webhook_configs": [{"url": f"{WEBHOOK_URL}/{name}", "send_resolved": True}],
            }
            for name in ("pages", "tickets", "watchdog")
        ],
        "inhibit_rules": [
            _silences("TargetDown", 'alertname != "TargetDown"', [JOB, INSTANCE]),
            _silences("TargetDown", 'alertname = "MetricsAbsent"', [JOB]),
            # Whoever waits for a loop waits too long: its page names the line, the other does not.
            _silences("EventLoopBlocked", 'alertname = "LatencyBudgetBurn"', [JOB]),
            _silences("EventLoopStalledShare", 'alertname = "LatencyBudgetBurn"', [JOB]),
            _silences(
                "EventLoopBlocked",
                'alertname =~ "EventLoopStalled|EventLoopStalledShare|EventLoopDelayHigh"',
                [JOB, INSTANCE],
            ),
            {
                "source_matchers": ['severity = "page"'],
                "target_matchers": ['severity = "ticket"', 'alertname =~ ".+BudgetBurn"'],
                "equal": _BUDGET_LABELS,
            },
        ],
    }


def alertmanager_yaml() -> str:
    """The same as its file has it."""
    return yaml_of(alertmanager())


def _silences(source: str, target: str, equal: list[str]) -> dict[str, list[str]]:
    return {
        "source_matchers": [f'alertname = "{source}"'],
        "target_matchers": [target],
        "equal": equal,
    }
