-- The tables of SQLite's 0001, in the schema `pwmtad` and with `host` in front of each key, so that hosts that share a
-- database do not overwrite each other. Runs inside a transaction that `postgres.migrate` opens.

CREATE TABLE pwmtad.hosts (
    host text NOT NULL PRIMARY KEY,
    writer text NOT NULL, -- names one run of the daemon; nobody else may write this host's rows
    commits bigint NOT NULL -- of that run: tells whether a commit whose answer was lost became durable
);

CREATE TABLE pwmtad.checkpoints (
    host text NOT NULL,
    source text NOT NULL,
    checkpoint text NOT NULL,
    PRIMARY KEY (host, source)
);

CREATE TABLE pwmtad.attempt_buckets (
    host text NOT NULL,
    span_s integer NOT NULL,
    start_at bigint NOT NULL,
    stream text NOT NULL,
    egress text NOT NULL,
    operator text NOT NULL,
    status text NOT NULL,
    reply_class text NOT NULL,
    first_attempts bigint NOT NULL,
    retries bigint NOT NULL,
    notifications bigint NOT NULL,
    PRIMARY KEY (host, span_s, start_at, stream, egress, operator, status, reply_class)
);

CREATE TABLE pwmtad.message_buckets (
    host text NOT NULL,
    span_s integer NOT NULL,
    start_at bigint NOT NULL,
    stream text NOT NULL,
    injected bigint NOT NULL,
    signed bigint NOT NULL,
    unsigned bigint NOT NULL,
    expired bigint NOT NULL,
    PRIMARY KEY (host, span_s, start_at, stream)
);

CREATE TABLE pwmtad.attempt_totals (
    host text NOT NULL,
    stream text NOT NULL,
    egress text NOT NULL,
    operator text NOT NULL,
    status text NOT NULL,
    reply_class text NOT NULL,
    first_attempts bigint NOT NULL,
    retries bigint NOT NULL,
    notifications bigint NOT NULL,
    PRIMARY KEY (host, stream, egress, operator, status, reply_class)
);

CREATE TABLE pwmtad.message_totals (
    host text NOT NULL,
    stream text NOT NULL,
    injected bigint NOT NULL,
    signed bigint NOT NULL,
    unsigned bigint NOT NULL,
    expired bigint NOT NULL,
    PRIMARY KEY (host, stream)
);

CREATE TABLE pwmtad.reasons (
    host text NOT NULL,
    day integer NOT NULL,
    stream text NOT NULL,
    status text NOT NULL,
    reply_class text NOT NULL,
    reason text NOT NULL,
    attempts bigint NOT NULL,
    PRIMARY KEY (host, day, stream, status, reply_class, reason)
);

CREATE TABLE pwmtad.line_counts (
    host text NOT NULL,
    source text NOT NULL,
    daemon text NOT NULL,
    outcome text NOT NULL,
    lines bigint NOT NULL,
    PRIMARY KEY (host, source, daemon, outcome)
);

CREATE TABLE pwmtad.open_messages (
    host text NOT NULL,
    queue_id text NOT NULL,
    opened_at double precision NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (host, queue_id)
);

CREATE TABLE pwmtad.domain_operators (
    host text NOT NULL,
    domain text NOT NULL,
    operator text NOT NULL,
    seen_at double precision NOT NULL,
    PRIMARY KEY (host, domain)
);

CREATE TABLE pwmtad.meta (
    host text NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (host, name)
);
