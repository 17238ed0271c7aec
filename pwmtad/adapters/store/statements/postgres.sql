-- Statements of `postgres.py`, by name: those of sqlite.sql with the host in front of the parameters.

-- name: put_checkpoints
INSERT INTO pwmtad.checkpoints (host, source, checkpoint) VALUES ($1, $2, $3)
ON CONFLICT (host, source) DO UPDATE SET checkpoint = excluded.checkpoint;

-- name: add_attempts
INSERT INTO pwmtad.attempt_buckets AS stored
    (host, span_s, start_at, stream, egress, operator, status, reply_class, first_attempts, retries, notifications)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (host, span_s, start_at, stream, egress, operator, status, reply_class) DO UPDATE SET
    first_attempts = stored.first_attempts + excluded.first_attempts,
    retries = stored.retries + excluded.retries,
    notifications = stored.notifications + excluded.notifications;

-- name: add_messages
INSERT INTO pwmtad.message_buckets AS stored (host, span_s, start_at, stream, injected, signed, unsigned, expired)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (host, span_s, start_at, stream) DO UPDATE SET
    injected = stored.injected + excluded.injected,
    signed = stored.signed + excluded.signed,
    unsigned = stored.unsigned + excluded.unsigned,
    expired = stored.expired + excluded.expired;

-- name: add_attempt_totals
INSERT INTO pwmtad.attempt_totals AS stored
    (host, stream, egress, operator, status, reply_class, first_attempts, retries, notifications)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (host, stream, egress, operator, status, reply_class) DO UPDATE SET
    first_attempts = stored.first_attempts + excluded.first_attempts,
    retries = stored.retries + excluded.retries,
    notifications = stored.notifications + excluded.notifications;

-- name: add_message_totals
INSERT INTO pwmtad.message_totals AS stored (host, stream, injected, signed, unsigned, expired)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (host, stream) DO UPDATE SET
    injected = stored.injected + excluded.injected,
    signed = stored.signed + excluded.signed,
    unsigned = stored.unsigned + excluded.unsigned,
    expired = stored.expired + excluded.expired;

-- name: add_reasons
INSERT INTO pwmtad.reasons AS stored (host, day, stream, status, reply_class, reason, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (host, day, stream, status, reply_class, reason) DO UPDATE SET
    attempts = stored.attempts + excluded.attempts;

-- name: add_lines
INSERT INTO pwmtad.line_counts AS stored (host, source, daemon, outcome, lines) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (host, source, daemon, outcome) DO UPDATE SET lines = stored.lines + excluded.lines;

-- name: remove_open_messages
DELETE FROM pwmtad.open_messages WHERE host = $1 AND queue_id = $2;

-- name: put_open_messages
INSERT INTO pwmtad.open_messages (host, queue_id, opened_at, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (host, queue_id) DO UPDATE SET opened_at = excluded.opened_at, state = excluded.state;

-- name: remove_domains
DELETE FROM pwmtad.domain_operators WHERE host = $1 AND domain = $2;

-- name: put_domains
INSERT INTO pwmtad.domain_operators (host, domain, operator, seen_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (host, domain) DO UPDATE SET operator = excluded.operator, seen_at = excluded.seen_at;

-- name: put_meta
INSERT INTO pwmtad.meta (host, name, value) VALUES ($1, $2, $3)
ON CONFLICT (host, name) DO UPDATE SET value = excluded.value;

-- name: put_halts
INSERT INTO pwmtad.halts
    (host, id, stream, scope, subject, rule, phase, started_at, hold_until, ended_at, ended_by, reason, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (host, id) DO UPDATE SET
    stream = excluded.stream, scope = excluded.scope, subject = excluded.subject, rule = excluded.rule,
    phase = excluded.phase, started_at = excluded.started_at, hold_until = excluded.hold_until,
    ended_at = excluded.ended_at, ended_by = excluded.ended_by, reason = excluded.reason, state = excluded.state;

-- name: put_memories
INSERT INTO pwmtad.stream_memories (host, stream, state) VALUES ($1, $2, $3)
ON CONFLICT (host, stream) DO UPDATE SET state = excluded.state;

-- name: put_listmonk
INSERT INTO pwmtad.listmonk_memories (host, stream, state) VALUES ($1, $2, $3)
ON CONFLICT (host, stream) DO UPDATE SET state = excluded.state;

-- name: remove_suppressions
DELETE FROM pwmtad.suppressions WHERE host = $1 AND kind = $2 AND subject = $3 AND stream = $4 AND reply_class = $5;

-- name: reset_suppressions
DELETE FROM pwmtad.suppressions
WHERE host = $1 AND kind = $2 AND subject = $3 AND stream = $4 AND reply_class = $5 AND suppressed_at IS NULL;

-- name: merge_suppressions
INSERT INTO pwmtad.suppressions AS stored (
    host, kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, tries, way, subscribers, problem, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 'untold', 0, '', 0, '',
    CASE WHEN $10::double precision IS NOT NULL THEN $9::double precision END)
ON CONFLICT (host, kind, subject, stream, reply_class) DO UPDATE SET
    sightings = stored.sightings + excluded.sightings, first_at = least(stored.first_at, excluded.first_at),
    last_at = greatest(stored.last_at, excluded.last_at),
    suppressed_at = coalesce(stored.suppressed_at, excluded.suppressed_at), seen = excluded.seen,
    added_by = CASE excluded.added_by WHEN '' THEN stored.added_by ELSE excluded.added_by END,
    queue_id = excluded.queue_id, egress = excluded.egress, operator = excluded.operator, relay_host = excluded.relay_host,
    rule = excluded.rule, reply = excluded.reply,
    due_at = CASE WHEN coalesce(stored.suppressed_at, excluded.suppressed_at) IS NOT NULL THEN excluded.last_at END;

-- name: mark_suppressions
UPDATE pwmtad.suppressions SET state = $6, told_at = $7, tries = $8, way = $9, verified_at = $10, subscribers = $11,
    problem = $12, due_at = CASE WHEN last_at > $13::double precision THEN due_at ELSE $14::double precision END
WHERE host = $1 AND kind = $2 AND subject = $3 AND stream = $4 AND reply_class = $5;

-- name: append_evidence
INSERT INTO pwmtad.evidence
    (host, at, stream, egress, operator, reply_class, rule, queue_id, recipient, recipient_domain, relay_host, reply)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: append_records
INSERT INTO pwmtad.records (host, at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, evidence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: load_checkpoints
SELECT source, checkpoint FROM pwmtad.checkpoints WHERE host = $1;

-- name: load_attempts
SELECT span_s, start_at, stream, egress, operator, status, reply_class, first_attempts, retries, notifications
FROM pwmtad.attempt_buckets WHERE host = $1 AND start_at + span_s > $2::double precision
ORDER BY span_s, start_at, stream COLLATE "C", egress COLLATE "C", operator COLLATE "C", status COLLATE "C",
    reply_class COLLATE "C";

-- name: load_messages
SELECT span_s, start_at, stream, injected, signed, unsigned, expired
FROM pwmtad.message_buckets WHERE host = $1 AND start_at + span_s > $2::double precision
ORDER BY span_s, start_at, stream COLLATE "C";

-- name: load_attempt_totals
SELECT 0, 0, stream, egress, operator, status, reply_class, first_attempts, retries, notifications
FROM pwmtad.attempt_totals WHERE host = $1
ORDER BY stream COLLATE "C", egress COLLATE "C", operator COLLATE "C", status COLLATE "C", reply_class COLLATE "C";

-- name: load_message_totals
SELECT 0, 0, stream, injected, signed, unsigned, expired FROM pwmtad.message_totals WHERE host = $1
ORDER BY stream COLLATE "C";

-- name: load_reasons
SELECT day, stream, status, reply_class, reason, attempts FROM pwmtad.reasons WHERE host = $1 AND day >= $2
ORDER BY day, stream COLLATE "C", status COLLATE "C", reply_class COLLATE "C", reason COLLATE "C";

-- name: load_lines
SELECT source, daemon, outcome, lines FROM pwmtad.line_counts WHERE host = $1
ORDER BY source COLLATE "C", daemon COLLATE "C", outcome COLLATE "C";

-- name: load_open_messages
SELECT queue_id, state FROM pwmtad.open_messages WHERE host = $1 ORDER BY opened_at, queue_id COLLATE "C";

-- name: load_domains
SELECT domain, operator, seen_at FROM pwmtad.domain_operators WHERE host = $1 ORDER BY seen_at, domain COLLATE "C";

-- name: load_meta
SELECT name, value FROM pwmtad.meta WHERE host = $1 ORDER BY name COLLATE "C";

-- name: load_halts
SELECT state FROM pwmtad.halts WHERE host = $1 AND (ended_at IS NULL OR ended_at > $2)
ORDER BY started_at, id COLLATE "C";

-- name: load_memories
SELECT stream, state FROM pwmtad.stream_memories WHERE host = $1 ORDER BY stream COLLATE "C";

-- name: load_listmonk
SELECT stream, state FROM pwmtad.listmonk_memories WHERE host = $1 ORDER BY stream COLLATE "C";

-- name: load_evidence
SELECT at, stream, egress, operator, reply_class, rule, queue_id, recipient, recipient_domain, relay_host, reply
FROM (SELECT * FROM pwmtad.evidence WHERE host = $1 AND at > $2 ORDER BY at DESC, id DESC LIMIT $3) AS newest
ORDER BY at, id;

-- name: load_suppressions
SELECT * FROM (
    SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
    FROM pwmtad.suppressions WHERE host = $1 AND suppressed_at IS NULL AND last_at > $2
    ORDER BY last_at DESC, kind DESC, subject DESC, stream DESC, reply_class DESC LIMIT $3
) AS newest ORDER BY last_at, kind, subject, stream, reply_class;

-- name: list_suppressions
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM pwmtad.suppressions
WHERE host = $1 AND (kind, subject, stream, reply_class) > ($6::text, $7::text, $8::text, $9::text)
  AND ($2::text IS NULL OR stream = $2) AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR reply_class = $4)
  AND ($5::boolean OR suppressed_at IS NOT NULL)
ORDER BY kind, subject, stream, reply_class LIMIT $10;

-- name: list_suppressions_of_subject
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM pwmtad.suppressions
WHERE host = $1 AND kind IN ('address', 'domain') AND subject = $2
  AND (kind, subject, stream, reply_class) > ($7::text, $8::text, $9::text, $10::text)
  AND ($3::text IS NULL OR stream = $3) AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR reply_class = $5)
  AND ($6::boolean OR suppressed_at IS NOT NULL)
ORDER BY kind, subject, stream, reply_class LIMIT $11;

-- name: list_suppressions_of_domain
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM pwmtad.suppressions
WHERE host = $1 AND domain = $2 AND (kind, subject, stream, reply_class) > ($7::text, $8::text, $9::text, $10::text)
  AND ($3::text IS NULL OR stream = $3) AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR reply_class = $5)
  AND ($6::boolean OR suppressed_at IS NOT NULL)
ORDER BY kind, subject, stream, reply_class LIMIT $11;

-- name: due_suppressions
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM pwmtad.suppressions WHERE host = $1 AND stream = $2 AND due_at <= $3
ORDER BY due_at, kind, subject, stream, reply_class LIMIT $4;

-- name: count_suppressions
SELECT stream, kind, reply_class, CASE WHEN suppressed_at IS NULL THEN 'counting' ELSE state END AS state, count(*)
FROM pwmtad.suppressions WHERE host = $1
GROUP BY stream, kind, reply_class, 4 ORDER BY stream, kind, reply_class, 4;

-- name: newest_records
SELECT id, at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, evidence
FROM (SELECT * FROM pwmtad.records WHERE host = $1 ORDER BY id DESC LIMIT $2) AS newest ORDER BY id;

-- name: newest_records_of_halt
SELECT id, at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, evidence
FROM (SELECT * FROM pwmtad.records WHERE host = $1 AND halt_id = $2 ORDER BY id DESC LIMIT $3) AS newest ORDER BY id;

-- name: oldest_attempts
SELECT min(start_at) FROM pwmtad.attempt_buckets WHERE host = $1 AND span_s = $2 AND start_at < $3;

-- name: oldest_messages
SELECT min(start_at) FROM pwmtad.message_buckets WHERE host = $1 AND span_s = $2 AND start_at < $3;

-- name: oldest_reasons
SELECT min(day) FROM pwmtad.reasons WHERE host = $1 AND day < $2;

-- name: merge_attempts
INSERT INTO pwmtad.attempt_buckets AS stored
    (host, span_s, start_at, stream, egress, operator, status, reply_class, first_attempts, retries, notifications)
SELECT host, $2::integer, $3::bigint, stream, egress, operator, status, reply_class,
    sum(first_attempts), sum(retries), sum(notifications)
FROM pwmtad.attempt_buckets
WHERE host = $1 AND span_s = $4 AND start_at >= $5 AND start_at < $6
GROUP BY host, stream, egress, operator, status, reply_class
ON CONFLICT (host, span_s, start_at, stream, egress, operator, status, reply_class) DO UPDATE SET
    first_attempts = stored.first_attempts + excluded.first_attempts,
    retries = stored.retries + excluded.retries,
    notifications = stored.notifications + excluded.notifications;

-- name: merge_messages
INSERT INTO pwmtad.message_buckets AS stored (host, span_s, start_at, stream, injected, signed, unsigned, expired)
SELECT host, $2::integer, $3::bigint, stream, sum(injected), sum(signed), sum(unsigned), sum(expired)
FROM pwmtad.message_buckets
WHERE host = $1 AND span_s = $4 AND start_at >= $5 AND start_at < $6
GROUP BY host, stream
ON CONFLICT (host, span_s, start_at, stream) DO UPDATE SET
    injected = stored.injected + excluded.injected,
    signed = stored.signed + excluded.signed,
    unsigned = stored.unsigned + excluded.unsigned,
    expired = stored.expired + excluded.expired;

-- name: drop_attempts
DELETE FROM pwmtad.attempt_buckets
WHERE host = $1 AND span_s = $2 AND start_at >= $3 AND start_at < $4;

-- name: drop_messages
DELETE FROM pwmtad.message_buckets
WHERE host = $1 AND span_s = $2 AND start_at >= $3 AND start_at < $4;

-- name: drop_reasons
DELETE FROM pwmtad.reasons WHERE host = $1 AND day = $2;

-- name: prune_evidence
DELETE FROM pwmtad.evidence WHERE id IN (
    SELECT id FROM pwmtad.evidence WHERE host = $1 AND (
        at <= $2 OR id <= (SELECT id FROM pwmtad.evidence WHERE host = $1 ORDER BY id DESC LIMIT 1 OFFSET $3)
    ) LIMIT $4
);

-- name: prune_halts
DELETE FROM pwmtad.halts
WHERE host = $1 AND id IN (SELECT id FROM pwmtad.halts WHERE host = $1 AND ended_at <= $2 LIMIT $3);

-- name: prune_records
DELETE FROM pwmtad.records WHERE id IN (
    SELECT id FROM pwmtad.records WHERE host = $1 AND at <= $2 AND id <= (
        SELECT id FROM pwmtad.records WHERE host = $1 ORDER BY id DESC LIMIT 1 OFFSET $3
    ) LIMIT $4
);

-- name: prune_suppressions
DELETE FROM pwmtad.suppressions WHERE host = $1 AND (kind, subject, stream, reply_class) IN (
    SELECT kind, subject, stream, reply_class FROM pwmtad.suppressions
    WHERE host = $1 AND suppressed_at IS NULL AND last_at <= $2 LIMIT $3
);

-- name: has_schema
SELECT to_regclass('pwmtad.migrations') IS NOT NULL;

-- name: lock_migrations
SELECT pg_advisory_xact_lock($1, $2);

-- name: create_schema
DO $$ BEGIN
    -- CREATE SCHEMA IF NOT EXISTS would ask for the privilege even where an administrator has made the schema already.
    IF to_regnamespace('pwmtad') IS NULL THEN CREATE SCHEMA pwmtad; END IF;
    CREATE TABLE pwmtad.migrations (
        number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    );
END $$;

-- name: note_migration
INSERT INTO pwmtad.migrations (number, name) VALUES ($1, $2);

-- name: version
SELECT coalesce(max(number), 0) FROM pwmtad.migrations;

-- name: try_lock
SELECT pg_try_advisory_lock($1, $2);

-- name: wait_for_lock
SELECT pg_advisory_lock($1, $2);

-- name: lock_holder
SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'this machine') AS client
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: become_writer
INSERT INTO pwmtad.hosts (host, writer, commits) VALUES ($1, $2, 0)
ON CONFLICT (host) DO UPDATE SET writer = excluded.writer, commits = 0;

-- name: stored_commits
SELECT commits FROM pwmtad.hosts WHERE host = $1 AND writer = $2;

-- name: count_commit
UPDATE pwmtad.hosts SET commits = $3 WHERE host = $1 AND writer = $2;
