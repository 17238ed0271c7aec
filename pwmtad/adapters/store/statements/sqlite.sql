-- Statements of `sqlite.py`, by name. The same names stand in postgres.sql.

-- name: put_checkpoints
INSERT INTO checkpoints (source, checkpoint) VALUES (?, ?)
ON CONFLICT (source) DO UPDATE SET checkpoint = excluded.checkpoint;

-- name: add_attempts
INSERT INTO attempt_buckets
    (span_s, start_at, stream, egress, operator, status, reply_class, first_attempts, retries, notifications)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (span_s, start_at, stream, egress, operator, status, reply_class) DO UPDATE SET
    first_attempts = first_attempts + excluded.first_attempts,
    retries = retries + excluded.retries,
    notifications = notifications + excluded.notifications;

-- name: add_messages
INSERT INTO message_buckets (span_s, start_at, stream, injected, signed, unsigned, expired)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (span_s, start_at, stream) DO UPDATE SET
    injected = injected + excluded.injected,
    signed = signed + excluded.signed,
    unsigned = unsigned + excluded.unsigned,
    expired = expired + excluded.expired;

-- name: add_attempt_totals
INSERT INTO attempt_totals (stream, egress, operator, status, reply_class, first_attempts, retries, notifications)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (stream, egress, operator, status, reply_class) DO UPDATE SET
    first_attempts = first_attempts + excluded.first_attempts,
    retries = retries + excluded.retries,
    notifications = notifications + excluded.notifications;

-- name: add_message_totals
INSERT INTO message_totals (stream, injected, signed, unsigned, expired) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET
    injected = injected + excluded.injected,
    signed = signed + excluded.signed,
    unsigned = unsigned + excluded.unsigned,
    expired = expired + excluded.expired;

-- name: add_reasons
INSERT INTO reasons (day, stream, status, reply_class, reason, attempts) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (day, stream, status, reply_class, reason) DO UPDATE SET attempts = attempts + excluded.attempts;

-- name: add_lines
INSERT INTO line_counts (source, daemon, outcome, lines) VALUES (?, ?, ?, ?)
ON CONFLICT (source, daemon, outcome) DO UPDATE SET lines = lines + excluded.lines;

-- name: remove_open_messages
DELETE FROM open_messages WHERE queue_id = ?;

-- name: put_open_messages
INSERT INTO open_messages (queue_id, opened_at, state) VALUES (?, ?, ?)
ON CONFLICT (queue_id) DO UPDATE SET opened_at = excluded.opened_at, state = excluded.state;

-- name: remove_domains
DELETE FROM domain_operators WHERE domain = ?;

-- name: put_domains
INSERT INTO domain_operators (domain, operator, seen_at) VALUES (?, ?, ?)
ON CONFLICT (domain) DO UPDATE SET operator = excluded.operator, seen_at = excluded.seen_at;

-- name: put_meta
INSERT INTO meta (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: put_halts
INSERT INTO halts
    (id, stream, scope, subject, rule, phase, started_at, hold_until, ended_at, ended_by, reason, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    stream = excluded.stream, scope = excluded.scope, subject = excluded.subject, rule = excluded.rule,
    phase = excluded.phase, started_at = excluded.started_at, hold_until = excluded.hold_until,
    ended_at = excluded.ended_at, ended_by = excluded.ended_by, reason = excluded.reason, state = excluded.state;

-- name: put_memories
INSERT INTO stream_memories (stream, state) VALUES (?, ?)
ON CONFLICT (stream) DO UPDATE SET state = excluded.state;

-- name: append_evidence
INSERT INTO evidence
    (at, stream, egress, operator, reply_class, rule, queue_id, recipient, recipient_domain, relay_host, reply)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: append_records
INSERT INTO records (at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, evidence)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: load_checkpoints
SELECT source, checkpoint FROM checkpoints;

-- name: load_attempts
SELECT span_s, start_at, stream, egress, operator, status, reply_class, first_attempts, retries, notifications
FROM attempt_buckets WHERE start_at + span_s > ?
ORDER BY span_s, start_at, stream, egress, operator, status, reply_class;

-- name: load_messages
SELECT span_s, start_at, stream, injected, signed, unsigned, expired
FROM message_buckets WHERE start_at + span_s > ?
ORDER BY span_s, start_at, stream;

-- name: load_attempt_totals
SELECT 0, 0, stream, egress, operator, status, reply_class, first_attempts, retries, notifications
FROM attempt_totals ORDER BY stream, egress, operator, status, reply_class;

-- name: load_message_totals
SELECT 0, 0, stream, injected, signed, unsigned, expired FROM message_totals ORDER BY stream;

-- name: load_reasons
SELECT day, stream, status, reply_class, reason, attempts FROM reasons WHERE day >= ?
ORDER BY day, stream, status, reply_class, reason;

-- name: load_lines
SELECT source, daemon, outcome, lines FROM line_counts ORDER BY source, daemon, outcome;

-- name: load_open_messages
SELECT queue_id, state FROM open_messages ORDER BY opened_at, queue_id;

-- name: load_domains
SELECT domain, operator, seen_at FROM domain_operators ORDER BY seen_at, domain;

-- name: load_meta
SELECT name, value FROM meta ORDER BY name;

-- name: load_halts
SELECT state FROM halts WHERE ended_at IS NULL OR ended_at > ? ORDER BY started_at, id;

-- name: load_memories
SELECT stream, state FROM stream_memories ORDER BY stream;

-- name: load_evidence
SELECT at, stream, egress, operator, reply_class, rule, queue_id, recipient, recipient_domain, relay_host, reply
FROM (SELECT * FROM evidence WHERE at > ? ORDER BY at DESC, id DESC LIMIT ?) ORDER BY at, id;

-- name: newest_records
SELECT id, at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, evidence
FROM (SELECT * FROM records ORDER BY id DESC LIMIT ?) ORDER BY id;

-- name: newest_records_of_halt
SELECT id, at, kind, stream, rule, reason, before, after, halt_id, ends_at, subject, evidence
FROM (SELECT * FROM records WHERE halt_id = ? ORDER BY id DESC LIMIT ?) ORDER BY id;

-- name: oldest_attempts
SELECT min(start_at) FROM attempt_buckets WHERE span_s = ? AND start_at < ?;

-- name: oldest_messages
SELECT min(start_at) FROM message_buckets WHERE span_s = ? AND start_at < ?;

-- name: oldest_reasons
SELECT min(day) FROM reasons WHERE day < ?;

-- name: merge_attempts
INSERT INTO attempt_buckets
    (span_s, start_at, stream, egress, operator, status, reply_class, first_attempts, retries, notifications)
SELECT ?, ?, stream, egress, operator, status, reply_class, sum(first_attempts), sum(retries), sum(notifications)
FROM attempt_buckets WHERE span_s = ? AND start_at >= ? AND start_at < ?
GROUP BY stream, egress, operator, status, reply_class
ON CONFLICT (span_s, start_at, stream, egress, operator, status, reply_class) DO UPDATE SET
    first_attempts = first_attempts + excluded.first_attempts,
    retries = retries + excluded.retries,
    notifications = notifications + excluded.notifications;

-- name: merge_messages
INSERT INTO message_buckets (span_s, start_at, stream, injected, signed, unsigned, expired)
SELECT ?, ?, stream, sum(injected), sum(signed), sum(unsigned), sum(expired)
FROM message_buckets WHERE span_s = ? AND start_at >= ? AND start_at < ?
GROUP BY stream
ON CONFLICT (span_s, start_at, stream) DO UPDATE SET
    injected = injected + excluded.injected,
    signed = signed + excluded.signed,
    unsigned = unsigned + excluded.unsigned,
    expired = expired + excluded.expired;

-- name: drop_attempts
DELETE FROM attempt_buckets WHERE span_s = ? AND start_at >= ? AND start_at < ?;

-- name: drop_messages
DELETE FROM message_buckets WHERE span_s = ? AND start_at >= ? AND start_at < ?;

-- name: drop_reasons
DELETE FROM reasons WHERE day = ?;

-- name: prune_evidence
DELETE FROM evidence WHERE id IN (
    SELECT id FROM evidence WHERE at <= ? OR id <= (SELECT id FROM evidence ORDER BY id DESC LIMIT 1 OFFSET ?) LIMIT ?
);

-- name: prune_halts
DELETE FROM halts WHERE id IN (SELECT id FROM halts WHERE ended_at <= ? LIMIT ?);

-- name: prune_records
DELETE FROM records WHERE id IN (
    SELECT id FROM records WHERE at <= ? AND id <= (SELECT id FROM records ORDER BY id DESC LIMIT 1 OFFSET ?) LIMIT ?
);
