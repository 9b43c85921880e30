"""What is known of kinds that are not Kubernetes' own: the fields that we use, and no others.

Written by hand after the published definitions, of which each of these is a part: what passes here
passes there. A field that we do not use yet is refused until it is added.
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_DURATION: Schema = {"type": "string", "pattern": r"^(0|(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$"}
_LABEL: Schema = {"type": "string", "pattern": r"^[a-zA-Z_][a-zA-Z0-9_]*$"}


def _object(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _mapping(names: Schema, values: Schema) -> Schema:
    return {"type": "object", "propertyNames": names, "additionalProperties": values}


_TEXTS = _mapping(_LABEL, {"type": "string"})
_RULE: Schema = {
    "oneOf": [
        _object(
            {"alert": _TEXT, "expr": _TEXT},
            **{"for": _DURATION},
            keep_firing_for=_DURATION,
            labels=_TEXTS,
            annotations=_TEXTS,
        ),
        _object({"record": _TEXT, "expr": _TEXT}, labels=_TEXTS),
    ]
}
_PROMETHEUS_RULE = _object(
    {"groups": _list(_object({"name": _TEXT, "rules": _list(_RULE)}, interval=_DURATION))}
)

_REQUIREMENT = _object(
    {"key": _TEXT, "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]}},
    values=_list(_TEXT),
)
_POD_MONITOR = _object(
    {
        "selector": _object(
            {}, matchLabels=_mapping(_TEXT, _TEXT), matchExpressions=_list(_REQUIREMENT)
        ),
        "podMetricsEndpoints": _list(
            _object(
                {"port": _TEXT},
                path=_TEXT,
                interval=_DURATION,
                scrapeTimeout=_DURATION,
                authorization=_object(
                    {"credentials": _object({"name": _TEXT, "key": _TEXT})}, type=_TEXT
                ),
                relabelings=_list(_object({"sourceLabels": _list(_LABEL), "targetLabel": _LABEL})),
            )
        ),
    },
    jobLabel=_TEXT,
)

# Else it has what a pod's spec has, which is Kubernetes' own.
_COUNT: Schema = {"type": "integer", "minimum": 1}
PREDICTOR = _object({"minReplicas": _COUNT, "maxReplicas": _COUNT})
_INFERENCE_SERVICE = _object({"predictor": {"type": "object"}})

# The schema of each kind's spec.
SPECS: Mapping[tuple[str, str], Schema] = {
    ("monitoring.coreos.com/v1", "PrometheusRule"): _PROMETHEUS_RULE,
    ("monitoring.coreos.com/v1", "PodMonitor"): _POD_MONITOR,
    ("serving.kserve.io/v1beta1", "InferenceService"): _INFERENCE_SERVICE,
}
