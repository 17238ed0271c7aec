-- The table of SQLite's 0004. Runs inside a transaction that `postgres.migrate` opens. Pages are read on from the last key, so the
-- key is ordered by bytes, as everywhere in pwmtad.

CREATE TABLE pwmtad.suppressions (
    host text NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    reply_class text COLLATE "C" NOT NULL,
    domain text NOT NULL,
    sightings bigint NOT NULL,
    first_at double precision NOT NULL,
    last_at double precision NOT NULL,
    suppressed_at double precision,
    seen text NOT NULL,
    added_by text NOT NULL,
    queue_id text NOT NULL,
    egress text NOT NULL,
    operator text NOT NULL,
    relay_host text NOT NULL,
    rule text NOT NULL,
    reply text NOT NULL,
    state text NOT NULL,
    told_at double precision,
    tries integer NOT NULL,
    way text NOT NULL,
    verified_at double precision,
    subscribers integer NOT NULL,
    problem text NOT NULL,
    due_at double precision,
    PRIMARY KEY (host, kind, subject, stream, reply_class)
);
CREATE INDEX suppressions_domain ON pwmtad.suppressions (host, domain);
CREATE INDEX suppressions_due ON pwmtad.suppressions (host, stream, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX suppressions_counting ON pwmtad.suppressions (host, last_at) WHERE suppressed_at IS NULL;
