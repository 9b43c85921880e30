"""What the models answer, how long it takes, and whether it is still what they were trained for."""

from dashboards.board import REPLICAS, Board, Row
from dashboards.names import INSTANCE, METRICS
from dashboards.panel import Query
from dashboards.panels import Heatmap, Stat, StateTimeline, TimeSeries
from dashboards.promql import equals
from dashboards.thresholds import Thresholds, bad_from

UID = "stallscope-models"

_MODEL = ("model", "model_version")
_NAME = "{{model}} {{model_version}}"
_INFERENCE, _WAIT = METRICS.ml_inference_duration_seconds, METRICS.ml_queue_wait_seconds
_BATCH, _CONFIDENCE = METRICS.ml_batch_size, METRICS.ml_confidence_ratio
_NOTHING = "Nothing was predicted in this time"

_WORK = Row(
    "Work",
    (
        TimeSeries(
            title="Predictions",
            description="Predictions answered per second, by the label given.",
            unit="ops",
            no_data="Nothing was ever predicted",
            stacked=True,
            queries=(
                Query(
                    REPLICAS.rate_of(METRICS.ml_predictions_total, by=[*_MODEL, "outcome"]),
                    f"{_NAME} {{{{outcome}}}}",
                ),
            ),
            width=8,
        ),
        TimeSeries(
            title="Inference time",
            description="p50 and p99 of the time in which a model computed one chunk.",
            unit="s",
            no_data=_NOTHING,
            queries=(
                Query(REPLICAS.quantile_of(0.5, _INFERENCE, by=_MODEL), f"p50 {_NAME}"),
                Query(REPLICAS.quantile_of(0.99, _INFERENCE, by=_MODEL), f"p99 {_NAME}"),
            ),
            width=8,
        ),
        TimeSeries(
            title="Queue wait",
            description="p99 of the time from a request's entry into a model's queue to its first "
            "chunk.",
            unit="s",
            no_data=_NOTHING,
            thresholds=bad_from(1, warning=0.25),
            queries=(Query(REPLICAS.quantile_of(0.99, _WAIT, by=_MODEL), _NAME),),
            width=8,
        ),
        Heatmap(
            title="Batch sizes",
            description="How many rows were computed together: large ones under load are what "
            "batching is for.",
            unit="short",
            no_data=_NOTHING,
            queries=(Query(REPLICAS.increase_of(_BATCH.bucket, by=["le"]), "{{le}}"),),
            width=8,
        ),
        TimeSeries(
            title="Mean batch",
            description="Rows that were computed together, on average, and rows that wait now.",
            unit="short",
            no_data=_NOTHING,
            queries=(
                Query(REPLICAS.mean_of(_BATCH, by=_MODEL), f"batch {_NAME}"),
                Query(REPLICAS.sum_of(METRICS.ml_queued_rows, by=_MODEL), f"waiting {_NAME}"),
            ),
            width=8,
        ),
        TimeSeries(
            title="Rows computed",
            description="Rows per second that each model computed, whoever they were for.",
            unit="ops",
            no_data="Nothing was ever computed",
            queries=(Query(REPLICAS.rate_of(METRICS.ml_computed_rows_total, by=_MODEL), _NAME),),
            width=8,
        ),
        TimeSeries(
            title="Rejections",
            description="Rows that were not computed, within each step, by the reason: the queue "
            "was full, time ran out, or the client went away.",
            unit="short",
            no_data="Nothing was ever rejected: good",
            thresholds=bad_from(1),
            queries=(
                Query(
                    REPLICAS.growth_of(METRICS.ml_rejected_total, by=[*_MODEL, "outcome"]),
                    f"{_NAME} {{{{outcome}}}}",
                ),
            ),
        ),
        TimeSeries(
            title="Prediction log",
            description="Rows per second for the prediction log, by what became of them.",
            unit="ops",
            no_data="No replica answers",
            queries=(
                Query(
                    REPLICAS.rate_of(METRICS.ml_prediction_log_rows_total, by=["outcome"]),
                    "{{outcome}}",
                ),
            ),
        ),
    ),
)

_QUALITY = Row(
    "Quality",
    (
        TimeSeries(
            title="Drift",
            description="Population stability index of the confidence of the last 1000 "
            "predictions, against held-out data of the training. Below 0.1 nothing has changed; "
            "from 0.25 on the model is asked for what it was not trained for.",
            unit="short",
            no_data="Fewer than 200 predictions so far: too few to tell",
            thresholds=bad_from(0.25, warning=0.1),
            queries=(Query(f"{REPLICAS.max_of(METRICS.ml_drift_psi, by=_MODEL)} >= 0", _NAME),),
        ),
        TimeSeries(
            title="Confidence",
            description="Median of the probability of the likeliest label, and p10.",
            unit="percentunit",
            no_data=_NOTHING,
            maximum=1,
            queries=(
                Query(REPLICAS.quantile_of(0.5, _CONFIDENCE, by=_MODEL), f"p50 {_NAME}"),
                Query(REPLICAS.quantile_of(0.1, _CONFIDENCE, by=_MODEL), f"p10 {_NAME}"),
            ),
        ),
        Heatmap(
            title="Confidences",
            description="How many predictions had which probability of the likeliest label.",
            unit="percentunit",
            no_data=_NOTHING,
            queries=(Query(REPLICAS.increase_of(_CONFIDENCE.bucket, by=["le"]), "{{le}}"),),
        ),
        TimeSeries(
            title="Candidates' agreement",
            description="Share of the rows that a candidate computed beside the current version "
            "for which both say the same.",
            unit="percentunit",
            no_data="No candidate computes beside a current version",
            maximum=1,
            queries=(
                Query(
                    REPLICAS.share_of(
                        METRICS.ml_shadow_rows_total, equals("outcome", "agreed"), by=_MODEL
                    ),
                    _NAME,
                ),
            ),
        ),
    ),
)

_VERSIONS = Row(
    "Versions",
    (
        StateTimeline(
            title="Loaded versions",
            description="Which version of which model each replica serves. Replicas that differ "
            "for longer than a deploy takes answer the same question differently.",
            unit="short",
            no_data="No model is loaded",
            words={"0": "not loaded", "1": "loaded"},
            thresholds=Thresholds("text", ((1, "green"),)),
            queries=(
                Query(
                    REPLICAS.max_of(METRICS.ml_model_loaded, by=[*_MODEL, INSTANCE]),
                    f"{_NAME} on {{{{instance}}}}",
                ),
            ),
            width=18,
        ),
        Stat(
            title="Replicas by version",
            description="How many replicas serve each version.",
            unit="short",
            no_data="No model is loaded",
            queries=(Query(REPLICAS.sum_of(METRICS.ml_model_loaded, by=_MODEL), _NAME),),
            width=6,
            height=8,
        ),
    ),
)

BOARD = Board(
    UID,
    "Models",
    "What the models answer, how long it takes, and whether it is what they were trained for.",
    (_WORK, _QUALITY, _VERSIONS),
)
