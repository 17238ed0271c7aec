-- What was counted, and how far the logs were read. Runs inside a transaction that `sqlite_file.migrate` opens.
-- Times are seconds since the epoch, UTC; a bucket covers [start_at, start_at + span_s).

CREATE TABLE checkpoints (
    source TEXT NOT NULL PRIMARY KEY,
    checkpoint TEXT NOT NULL -- JSON: inode and offset, or journal cursor
) WITHOUT ROWID;

CREATE TABLE attempt_buckets (
    span_s INTEGER NOT NULL, -- 60, 3600 or 86400
    start_at INTEGER NOT NULL,
    stream TEXT NOT NULL,
    egress TEXT NOT NULL,
    operator TEXT NOT NULL,
    status TEXT NOT NULL,
    reply_class TEXT NOT NULL, -- '' for sent
    first_attempts INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    notifications INTEGER NOT NULL,
    PRIMARY KEY (span_s, start_at, stream, egress, operator, status, reply_class)
) WITHOUT ROWID;

CREATE TABLE message_buckets (
    span_s INTEGER NOT NULL,
    start_at INTEGER NOT NULL,
    stream TEXT NOT NULL,
    injected INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    unsigned INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    PRIMARY KEY (span_s, start_at, stream)
) WITHOUT ROWID;

-- Sums over all buckets there ever were, kept with them: a start must not get slower with each year of days.

CREATE TABLE attempt_totals (
    stream TEXT NOT NULL,
    egress TEXT NOT NULL,
    operator TEXT NOT NULL,
    status TEXT NOT NULL,
    reply_class TEXT NOT NULL,
    first_attempts INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    notifications INTEGER NOT NULL,
    PRIMARY KEY (stream, egress, operator, status, reply_class)
) WITHOUT ROWID;

CREATE TABLE message_totals (
    stream TEXT NOT NULL PRIMARY KEY,
    injected INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    unsigned INTEGER NOT NULL,
    expired INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE reasons (
    day INTEGER NOT NULL, -- days since the epoch, UTC
    stream TEXT NOT NULL,
    status TEXT NOT NULL,
    reply_class TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (day, stream, status, reply_class, reason)
) WITHOUT ROWID;

CREATE TABLE line_counts (
    source TEXT NOT NULL,
    daemon TEXT NOT NULL,
    outcome TEXT NOT NULL,
    lines INTEGER NOT NULL,
    PRIMARY KEY (source, daemon, outcome)
) WITHOUT ROWID;

CREATE TABLE open_messages (
    queue_id TEXT NOT NULL PRIMARY KEY,
    opened_at REAL NOT NULL,
    state BLOB NOT NULL -- msgpack of model.counters.OpenMessage
) WITHOUT ROWID;

CREATE TABLE domain_operators (
    domain TEXT NOT NULL PRIMARY KEY,
    operator TEXT NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
