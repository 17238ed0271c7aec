-- The tables of SQLite's 0002. Runs inside a transaction that `postgres.migrate` opens.

CREATE TABLE pwmtad.halts (
    host text NOT NULL,
    id text NOT NULL,
    stream text NOT NULL,
    scope text NOT NULL,
    subject text NOT NULL,
    rule text NOT NULL,
    phase text NOT NULL,
    started_at double precision NOT NULL,
    hold_until double precision,
    ended_at double precision,
    ended_by text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (host, id)
);

CREATE TABLE pwmtad.stream_memories (
    host text NOT NULL,
    stream text NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (host, stream)
);

CREATE TABLE pwmtad.evidence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    at double precision NOT NULL,
    stream text NOT NULL,
    egress text NOT NULL,
    operator text NOT NULL,
    reply_class text NOT NULL,
    rule text NOT NULL,
    queue_id text NOT NULL,
    recipient text NOT NULL,
    recipient_domain text NOT NULL,
    relay_host text NOT NULL,
    reply text NOT NULL
);
CREATE INDEX evidence_at ON pwmtad.evidence (host, at);
CREATE INDEX evidence_id ON pwmtad.evidence (host, id);

CREATE TABLE pwmtad.records (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    at double precision NOT NULL,
    kind text NOT NULL,
    stream text NOT NULL,
    rule text NOT NULL,
    reason text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    halt_id text NOT NULL,
    ends_at double precision,
    subject text NOT NULL,
    evidence text NOT NULL
);
CREATE INDEX records_halt ON pwmtad.records (host, halt_id, id);
CREATE INDEX records_at ON pwmtad.records (host, at);
CREATE INDEX records_id ON pwmtad.records (host, id);
