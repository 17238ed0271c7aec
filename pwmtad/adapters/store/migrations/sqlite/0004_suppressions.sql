-- Who is not to be mailed any more, what is counted towards that, and how far Listmonk was told. Holds addresses of recipients.
-- Runs inside a transaction that `sqlite_file.migrate` opens. Times are seconds since the epoch, UTC.

CREATE TABLE suppressions (
    kind TEXT NOT NULL, -- address or domain
    subject TEXT NOT NULL, -- lower case
    stream TEXT NOT NULL,
    reply_class TEXT NOT NULL, -- hard_bounce, mailbox_full, dead_domain or manual
    domain TEXT NOT NULL, -- of an address; a domain itself
    sightings INTEGER NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    suppressed_at REAL, -- NULL: not seen often enough yet
    seen TEXT NOT NULL, -- JSON: days since the epoch, or hashes of recipients, while it is counted
    added_by TEXT NOT NULL, -- the person who said so; '' for a rule
    queue_id TEXT NOT NULL,
    egress TEXT NOT NULL,
    operator TEXT NOT NULL,
    relay_host TEXT NOT NULL,
    rule TEXT NOT NULL, -- the reply rule
    reply TEXT NOT NULL, -- or a person's reason
    state TEXT NOT NULL, -- of telling Listmonk: untold, sent, verified, unknown, left or failed
    told_at REAL,
    tries INTEGER NOT NULL,
    way TEXT NOT NULL, -- webhook or blocklist
    verified_at REAL,
    subscribers INTEGER NOT NULL, -- of a domain
    problem TEXT NOT NULL,
    due_at REAL, -- when Listmonk is to be told, or looked at again; NULL: when something is seen again
    PRIMARY KEY (kind, subject, stream, reply_class)
) WITHOUT ROWID;
CREATE INDEX suppressions_domain ON suppressions (domain);
CREATE INDEX suppressions_due ON suppressions (stream, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX suppressions_counting ON suppressions (last_at) WHERE suppressed_at IS NULL;
