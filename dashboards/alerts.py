"""All alerting rules and all recording rules: what `generated/rules.yaml` says."""

from dashboards.budget_alerts import budget_alerts
from dashboards.dependency_alerts import DEPENDENCY_ALERTS
from dashboards.loop_alerts import LOOP_ALERTS
from dashboards.model_alerts import MODEL_ALERTS
from dashboards.process_alerts import PROCESS_ALERTS
from dashboards.recording import Group, recording_groups
from dashboards.yaml_text import yaml_of

GROUPS = {
    "budgets": tuple(budget_alerts()),
    "event_loop": LOOP_ALERTS,
    "dependencies": DEPENDENCY_ALERTS,
    "models": MODEL_ALERTS,
    "processes": PROCESS_ALERTS,
}
ALERTS = tuple(alert for group in GROUPS.values() for alert in group)


def rules() -> dict[str, list[Group]]:
    """Everything that Prometheus evaluates."""
    alerting: list[Group] = [
        {"name": name, "rules": [alert.rule() for alert in alerts]}
        for name, alerts in GROUPS.items()
    ]
    return {"groups": [*recording_groups(), *alerting]}


def rules_yaml() -> str:
    """The same as its file has it."""
    return yaml_of(rules())
