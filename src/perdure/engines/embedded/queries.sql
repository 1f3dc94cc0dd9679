-- Every statement of the embedded engine, by name. `journal.py` reads this file and nothing else writes SQL.

-- name: add_blob
INSERT OR IGNORE INTO blobs (hash, body) VALUES (?, ?)
-- name: add_definition
INSERT OR IGNORE INTO definitions (hash, document, resources) VALUES (?, ?, ?)
-- name: add_published
INSERT INTO published (tenant, namespace, name, version, definition) VALUES (?, ?, ?, ?, ?)
-- name: add_run
INSERT INTO runs (id, public, tenant, namespace, name, version, program, definition, started, first, mark, origin,
    parent, command, depth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- name: add_journal
INSERT INTO journal (seq, run, prev, mark, body) VALUES (?, ?, ?, ?, ?)
-- name: put_head
INSERT INTO heads (run, head, status, updated, parked, ended, result) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run) DO UPDATE SET head = excluded.head, status = excluded.status, updated = excluded.updated,
    parked = excluded.parked, ended = excluded.ended, result = excluded.result
-- name: move_head
INSERT INTO heads (run, head, status, updated, parked) VALUES (?, ?, 'running', ?, 0)
ON CONFLICT (run) DO UPDATE SET head = excluded.head, updated = excluded.updated WHERE heads.head < excluded.head
-- name: unpark
UPDATE heads SET parked = 0 WHERE run = ?
-- name: put_snapshot
INSERT OR REPLACE INTO snapshots (run, seq, body) VALUES (?, ?, ?)
-- name: drop_snapshot
DELETE FROM snapshots WHERE run = ?
-- name: add_timer
INSERT OR REPLACE INTO timers (due, run, id, boot) VALUES (?, ?, ?, ?)
-- name: drop_timer
DELETE FROM timers WHERE run = ? AND id = ?
-- name: drop_timers
DELETE FROM timers WHERE run = ?
-- name: add_subscription
INSERT OR REPLACE INTO subscriptions (tenant, type, run, id, filters) VALUES (?, ?, ?, ?, ?)
-- name: drop_subscriptions
DELETE FROM subscriptions WHERE run = ?
-- name: add_event
INSERT INTO events (seq, tenant, source, id, type, received, body, emitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
-- name: forget_events
DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE received < ? ORDER BY seq LIMIT 1000)
-- name: add_watch
INSERT OR REPLACE INTO watches (tenant, type, run) VALUES (?, ?, ?)
-- name: drop_watches
DELETE FROM watches WHERE run = ?
-- name: move_timers
UPDATE timers SET due = due + ? WHERE boot = ?
-- name: add_opening
INSERT INTO openings (boot, at) VALUES (?, ?)

-- name: last_positions
SELECT (SELECT coalesce(max(seq), 0) FROM journal), (SELECT coalesce(max(id), 0) FROM runs),
    (SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(boot), 0) FROM openings)
-- name: run_by_public
SELECT runs.*, CASE WHEN heads.ended IS NULL THEN max(ifnull(heads.head, 0), ifnull((SELECT max(seq) FROM journal
    WHERE seq >= (SELECT max(seq) FROM journal) / 256 * 256 AND run = runs.id), 0)) ELSE heads.head END,
    ifnull(heads.status, 'running'), ifnull(heads.updated, 0), ifnull(heads.parked, 0), heads.ended, heads.result
FROM runs LEFT JOIN heads ON heads.run = runs.id WHERE runs.tenant = ? AND runs.public = ?
-- name: run_with_input
-- For whoever knows that the row of `heads` does not lag.
SELECT runs.*, heads.head, heads.status, heads.updated, heads.parked, heads.ended, heads.result, journal.body
FROM runs JOIN heads ON heads.run = runs.id JOIN journal ON journal.seq = runs.first
WHERE runs.tenant = ? AND runs.public = ?
-- name: run_by_key
SELECT runs.*, CASE WHEN heads.ended IS NULL THEN max(ifnull(heads.head, 0), ifnull((SELECT max(seq) FROM journal
    WHERE seq >= (SELECT max(seq) FROM journal) / 256 * 256 AND run = runs.id), 0)) ELSE heads.head END,
    ifnull(heads.status, 'running'), ifnull(heads.updated, 0), ifnull(heads.parked, 0), heads.ended, heads.result
FROM runs LEFT JOIN heads ON heads.run = runs.id WHERE runs.id = ?
-- name: find_runs
SELECT runs.*, CASE WHEN heads.ended IS NULL THEN max(ifnull(heads.head, 0), ifnull((SELECT max(seq) FROM journal
    WHERE seq >= (SELECT max(seq) FROM journal) / 256 * 256 AND run = runs.id), 0)) ELSE heads.head END,
    ifnull(heads.status, 'running'), ifnull(heads.updated, 0), ifnull(heads.parked, 0), heads.ended, NULL
FROM runs LEFT JOIN heads ON heads.run = runs.id
WHERE runs.tenant = :tenant AND runs.id >= :first AND runs.id < :before
    AND (:statuses IS NULL OR ifnull(heads.status, 'running') IN (SELECT value FROM json_each(:statuses)))
    AND (:name IS NULL OR runs.name = :name) AND (:namespace IS NULL OR runs.namespace = :namespace)
    AND (:version IS NULL OR runs.version = :version)
    AND (:since IS NULL OR runs.started >= :since) AND (:until IS NULL OR runs.started < :until)
ORDER BY runs.id DESC LIMIT :limit
-- name: newest_facts
-- All that a row of `heads` may lag behind (`heads.py`); the query of one run below looks there too.
SELECT run, max(seq), body FROM journal WHERE seq >= (SELECT max(seq) FROM journal) / 256 * 256 GROUP BY run
-- name: active_runs
SELECT run FROM heads WHERE parked = 0 ORDER BY run
-- name: open_runs
-- As the index says it: whatever may still change.
SELECT status, count(*) FROM heads WHERE status NOT IN ('completed', 'cancelled') GROUP BY status
-- name: journal_row
SELECT body FROM journal WHERE seq = ?
-- name: journal_chain
WITH RECURSIVE chain (seq, prev, mark, body) AS (
    SELECT seq, prev, mark, body FROM journal WHERE seq = :head AND seq > :base
    UNION ALL
    SELECT journal.seq, journal.prev, journal.mark, journal.body
    FROM journal JOIN chain ON journal.seq = chain.prev WHERE chain.prev > :base
) SELECT seq, mark, body FROM chain
-- name: snapshot
SELECT seq, body FROM snapshots WHERE run = ?
-- name: blob
SELECT body FROM blobs WHERE hash = ?
-- name: definition
SELECT document, resources FROM definitions WHERE hash = ?
-- name: published
SELECT definition FROM published WHERE tenant = ? AND namespace = ? AND name = ? AND version = ?
-- name: key_of
SELECT id FROM runs WHERE tenant = ? AND public = ?
-- name: timers_after
SELECT due, run, id FROM timers WHERE (due, run, id) > (?, ?, ?) ORDER BY due, run, id LIMIT ?
-- name: subscriptions_of_type
SELECT run, id, filters FROM subscriptions WHERE tenant = ? AND type IN (?, '') ORDER BY run
-- name: has_event
SELECT 1 FROM events WHERE tenant = ? AND source = ? AND id = ?
-- name: events_after
SELECT seq, body FROM events WHERE tenant = ? AND seq > ? AND received >= ? ORDER BY seq
-- name: events_after_of_types
-- The types are a JSON array.
SELECT seq, body FROM events WHERE tenant = ? AND seq > ? AND received >= ?
    AND type IN (SELECT value FROM json_each(?)) ORDER BY seq
-- name: emitted_after
SELECT seq, tenant, body FROM events WHERE emitted = 1 AND seq > ? ORDER BY seq LIMIT ?
-- name: watches
SELECT tenant, type, run FROM watches ORDER BY run
-- name: timers_of
SELECT id, due + CASE boot WHEN ? THEN ? ELSE 0 END FROM timers WHERE run = ?
-- name: last_event
SELECT coalesce(max(seq), 0) FROM events
-- name: published_versions
SELECT version, definition FROM published WHERE tenant = ? AND namespace = ? AND name = ?
-- name: event_row
SELECT 1 FROM events WHERE seq = ?
-- name: opening_row
SELECT 1 FROM openings WHERE boot = ?

-- name: forgettable
SELECT runs.id, heads.head FROM runs JOIN heads ON heads.run = runs.id
WHERE runs.tenant = :tenant AND heads.ended IS NOT NULL AND heads.parked = 1
    AND (:before IS NULL OR heads.ended < :before) AND (:only IS NULL OR runs.id = :only)
    AND runs.id NOT IN (SELECT child.parent FROM runs AS child LEFT JOIN heads AS theirs ON theirs.run = child.id
        WHERE child.parent IS NOT NULL AND theirs.ended IS NULL)
LIMIT :limit
-- name: forget_journal
WITH RECURSIVE chain (seq, prev) AS (
    SELECT seq, prev FROM journal WHERE seq = ?
    UNION ALL
    SELECT journal.seq, journal.prev FROM journal JOIN chain ON journal.seq = chain.prev
) DELETE FROM journal WHERE seq IN (SELECT seq FROM chain)
-- name: forget_head
DELETE FROM heads WHERE run = ?
-- name: forget_parent
-- The number of a run may be given out again, and nobody may take the new one for its parent.
UPDATE runs SET parent = NULL WHERE parent = ?
-- name: forget_run
DELETE FROM runs WHERE id = ?
-- name: forget_definitions
DELETE FROM definitions WHERE hash NOT IN (SELECT definition FROM runs UNION SELECT definition FROM published)
-- name: forget_blob
DELETE FROM blobs WHERE hash = ?
-- name: blob_hashes
SELECT hash FROM blobs
-- name: journal_with
SELECT body FROM journal WHERE instr(body, ?)
-- name: snapshots_with
SELECT body FROM snapshots WHERE instr(body, ?)
-- name: results_with
SELECT result FROM heads WHERE instr(result, ?)
