"""Alerts on the models: what is late, what is not there, and what no longer fits its questions."""

from dashboards.alert import Alert
from dashboards.names import INSTANCE, JOB, METRICS
from dashboards.promql import Scope, equals

_VERSION = ("model", "model_version")
_LOADED = METRICS.ml_model_loaded
_QUEUE_WAIT = Scope(window="5m").quantile_of(0.95, METRICS.ml_queue_wait_seconds, by=(JOB, "model"))


# By model, and by replica where only one of them may be wrong.
MODEL_ALERTS = (
    Alert(
        name="ModelQueueWaitHigh",
        expression=f"{_QUEUE_WAIT} > 0.25",
        severity="ticket",
        holds="5m",
        summary="Requests wait for {{ $labels.model }}",
        description=(
            "One request in twenty waits {{ $value | humanizeDuration }} or longer before its"
            " computation begins, 0.25 s is the limit. When the queue is full they are refused."
        ),
        board="models",
        of=(JOB,),
    ),
    Alert(
        name="ModelDrift",
        # What a retired version said last stays for ever.
        expression=(
            f"{METRICS.ml_drift_psi} > 0.25"
            f" and on ({', '.join((JOB, INSTANCE, *_VERSION))}) {_LOADED} == 1"
        ),
        severity="ticket",
        holds="30m",
        summary="{{ $labels.model }} {{ $labels.model_version }} is asked what it was not made for",
        description=(
            "How sure it is differs from how sure it was in its training: a population stability"
            ' index of {{ $value | printf "%.2f" }} over its last 1000 answers; above 0.25 is a'
            " lot."
        ),
        board="models",
    ),
    Alert(
        name="ModelVersionSkew",
        expression=(
            f"count by ({', '.join((JOB, *_VERSION))}) ({_LOADED} == 1) < on ({JOB}) group_left ()"
            f" count by ({JOB}) (count by ({JOB}, {INSTANCE}) ({_LOADED}))"
        ),
        severity="ticket",
        holds="15m",
        summary="Not every replica of {{ $labels.job }} has the same {{ $labels.model }}",
        description=(
            "Only {{ $value }} replicas have {{ $labels.model_version }} loaded: the same question"
            " gets different answers."
        ),
        board="models",
        of=(JOB,),
    ),
    Alert(
        name="ModelNotLoaded",
        expression=f"max by ({JOB}, {INSTANCE}, model) ({_LOADED}) == 0",
        severity="ticket",
        holds="5m",
        summary="{{ $labels.instance }} has no {{ $labels.model }}",
        description=(
            "{{ $value }} versions of it are loaded: questions to it are answered with 503, and"
            " the replica is not ready."
        ),
        board="models",
    ),
    Alert(
        name="PredictionLogDropping",
        expression=(
            Scope(window="15m").increase_of(
                METRICS.ml_prediction_log_rows_total,
                equals("outcome", "dropped"),
                by=(JOB, INSTANCE),
            )
            + " > 0"
        ),
        severity="ticket",
        summary="{{ $labels.instance }} loses rows of the prediction log",
        description=(
            '{{ $value | printf "%.0f" }} predictions of the last 15 minutes were answered and not'
            " logged: PostgreSQL has not taken them in time, or refuses them."
        ),
        board="models",
    ),
)
