-- What models answered, one row for each input. Nothing here deletes rows: how long they are kept
-- is for whoever runs the service to say.
CREATE TABLE prediction_log (
    -- Made by the writer, in the order of time: a batch that is sent twice is refused as a whole.
    id              uuid             PRIMARY KEY,
    at              timestamptz      NOT NULL,
    model           text             NOT NULL,
    model_version   text             NOT NULL,
    input_sha256    bytea            NOT NULL CHECK (octet_length(input_sha256) = 32),
    output          jsonb            NOT NULL CHECK (jsonb_typeof(output) = 'object'),
    confidence      double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    latency_seconds double precision NOT NULL CHECK (latency_seconds BETWEEN 0 AND 1e9),
    request_id      text             NOT NULL,
    trace_id        text             CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    raw_input       bytea
);

CREATE INDEX prediction_log_by_model ON prediction_log (model, model_version, at);
CREATE INDEX prediction_log_by_request ON prediction_log (request_id);
-- For deleting what is old: a few pages, however long the table.
CREATE INDEX prediction_log_by_age ON prediction_log USING brin (at);
