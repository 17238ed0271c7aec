-- What was judged: halts, what a stream must remember, the evidence of stop rules, and the record of every decision.
-- Runs inside a transaction that `sqlite_file.migrate` opens. Times are seconds since the epoch, UTC.

CREATE TABLE halts (
    id TEXT NOT NULL PRIMARY KEY,
    stream TEXT NOT NULL,
    scope TEXT NOT NULL, -- stream, operator or egress
    subject TEXT NOT NULL, -- the operator or egress; for scope stream the stream
    rule TEXT NOT NULL,
    phase TEXT NOT NULL, -- active, probing, recovering or ended
    started_at REAL NOT NULL,
    hold_until REAL, -- NULL: until it is released
    ended_at REAL, -- NULL: it stands, or is on its way back
    ended_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL -- JSON of model.judgement.Halt: what the daemon reads; the other columns are for people
) WITHOUT ROWID;

CREATE TABLE stream_memories (
    stream TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL -- JSON of model.judgement.StreamMemory
) WITHOUT ROWID;

CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    stream TEXT NOT NULL,
    egress TEXT NOT NULL,
    operator TEXT NOT NULL,
    reply_class TEXT NOT NULL,
    rule TEXT NOT NULL, -- the reply rule
    queue_id TEXT NOT NULL,
    recipient TEXT NOT NULL, -- a hash
    recipient_domain TEXT NOT NULL,
    relay_host TEXT NOT NULL,
    reply TEXT NOT NULL
);
CREATE INDEX evidence_at ON evidence (at);

CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of decisions; never given twice
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    stream TEXT NOT NULL,
    rule TEXT NOT NULL,
    reason TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    halt_id TEXT NOT NULL, -- '' if it is about no halt
    ends_at REAL,
    subject TEXT NOT NULL, -- operator, egress or domain, where it is about one
    evidence TEXT NOT NULL -- JSON: [{"at": seconds, "text": line}, ...]
);
CREATE INDEX records_halt ON records (halt_id, id);
CREATE INDEX records_at ON records (at);
