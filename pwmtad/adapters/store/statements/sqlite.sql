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

-- name: put_listmonk
INSERT INTO listmonk_memories (stream, state) VALUES (?, ?)
ON CONFLICT (stream) DO UPDATE SET state = excluded.state;

-- name: remove_suppressions
DELETE FROM suppressions WHERE kind = ? AND subject = ? AND stream = ? AND reply_class = ?;

-- name: reset_suppressions
DELETE FROM suppressions WHERE kind = ? AND subject = ? AND stream = ? AND reply_class = ? AND suppressed_at IS NULL;

-- name: merge_suppressions
INSERT INTO suppressions (
    kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, tries, way, subscribers, problem, due_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, 'untold', 0, '', 0, '',
    CASE WHEN ?9 IS NOT NULL THEN ?8 END)
ON CONFLICT (kind, subject, stream, reply_class) DO UPDATE SET
    sightings = sightings + excluded.sightings, first_at = min(first_at, excluded.first_at),
    last_at = max(last_at, excluded.last_at), suppressed_at = coalesce(suppressed_at, excluded.suppressed_at),
    seen = excluded.seen, added_by = CASE excluded.added_by WHEN '' THEN added_by ELSE excluded.added_by END,
    queue_id = excluded.queue_id, egress = excluded.egress, operator = excluded.operator, relay_host = excluded.relay_host,
    rule = excluded.rule, reply = excluded.reply,
    due_at = CASE WHEN coalesce(suppressed_at, excluded.suppressed_at) IS NOT NULL THEN excluded.last_at END;

-- name: mark_suppressions
UPDATE suppressions SET state = ?5, told_at = ?6, tries = ?7, way = ?8, verified_at = ?9, subscribers = ?10, problem = ?11,
    due_at = CASE WHEN last_at > ?12 THEN due_at ELSE ?13 END
WHERE kind = ?1 AND subject = ?2 AND stream = ?3 AND reply_class = ?4;

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
-- By span first, so that years of days are not read to find the last two: the key begins with it.
FROM attempt_buckets WHERE span_s IN (60, 3600, 86400) AND start_at > ?1 - 86400 AND start_at + span_s > ?1
ORDER BY span_s, start_at, stream, egress, operator, status, reply_class;

-- name: load_messages
SELECT span_s, start_at, stream, injected, signed, unsigned, expired
FROM message_buckets WHERE span_s IN (60, 3600, 86400) AND start_at > ?1 - 86400 AND start_at + span_s > ?1
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

-- name: load_listmonk
SELECT stream, state FROM listmonk_memories ORDER BY stream;

-- name: load_evidence
SELECT at, stream, egress, operator, reply_class, rule, queue_id, recipient, recipient_domain, relay_host, reply
FROM (SELECT * FROM evidence WHERE at > ? ORDER BY at DESC, id DESC LIMIT ?) ORDER BY at, id;

-- name: load_suppressions
SELECT * FROM (
    SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
    FROM suppressions WHERE suppressed_at IS NULL AND last_at > ?
    ORDER BY last_at DESC, kind DESC, subject DESC, stream DESC, reply_class DESC LIMIT ?
) ORDER BY last_at, kind, subject, stream, reply_class;

-- name: list_suppressions
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM suppressions
WHERE (kind, subject, stream, reply_class) > (?5, ?6, ?7, ?8) AND (?1 IS NULL OR stream = ?1) AND (?2 IS NULL OR kind = ?2)
  AND (?3 IS NULL OR reply_class = ?3) AND (?4 OR suppressed_at IS NOT NULL)
ORDER BY kind, subject, stream, reply_class LIMIT ?9;

-- name: list_suppressions_of_subject
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM suppressions
WHERE kind IN ('address', 'domain') AND subject = ?1 AND (kind, subject, stream, reply_class) > (?6, ?7, ?8, ?9)
  AND (?2 IS NULL OR stream = ?2) AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR reply_class = ?4)
  AND (?5 OR suppressed_at IS NOT NULL)
ORDER BY kind, subject, stream, reply_class LIMIT ?10;

-- name: list_suppressions_of_domain
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM suppressions
WHERE domain = ?1 AND (kind, subject, stream, reply_class) > (?6, ?7, ?8, ?9)
  AND (?2 IS NULL OR stream = ?2) AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR reply_class = ?4)
  AND (?5 OR suppressed_at IS NOT NULL)
ORDER BY kind, subject, stream, reply_class LIMIT ?10;

-- name: due_suppressions
SELECT kind, subject, stream, reply_class, domain, sightings, first_at, last_at, suppressed_at, seen, added_by, queue_id, egress,
    operator, relay_host, rule, reply, state, told_at, tries, way, verified_at, subscribers, problem, due_at
FROM suppressions WHERE stream = ? AND due_at <= ?
ORDER BY due_at, kind, subject, stream, reply_class LIMIT ?;

-- name: count_suppressions
SELECT stream, kind, reply_class, CASE WHEN suppressed_at IS NULL THEN 'counting' ELSE state END AS state, count(*)
FROM suppressions GROUP BY stream, kind, reply_class, 4 ORDER BY stream, kind, reply_class, 4;

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

-- name: prune_suppressions
DELETE FROM suppressions WHERE (kind, subject, stream, reply_class) IN (
    SELECT kind, subject, stream, reply_class FROM suppressions WHERE suppressed_at IS NULL AND last_at <= ? LIMIT ?
);
