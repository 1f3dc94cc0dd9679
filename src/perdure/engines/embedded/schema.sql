-- The journal of the embedded engine, schema version 5. Times are whole milliseconds since the Unix epoch.
-- Bodies are UTF-8 JSON; values over 8 KB inside them are references into `blobs`.

-- What never changes about a run. `first` and `mark` are positions in `journal` and `events` when it began.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    public TEXT NOT NULL,
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    program TEXT NOT NULL,
    definition TEXT NOT NULL,
    started INTEGER NOT NULL,
    first INTEGER NOT NULL,
    mark INTEGER NOT NULL,
    origin TEXT,
    parent INTEGER,
    command TEXT,
    depth INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_public ON runs (tenant, public);

-- What changes about a run, kept apart so that the rows stay small. `head` is the run's newest journal row when the row
-- was written; newer ones may stand in the newest window of `journal` (`heads.py`), until the run has ended. A run
-- without a row is running, and all its facts stand there.
-- `parked` is 1 when an opening need not load the run: it has ended, or it waits outside memory and everything it waits
-- for is in `timers`, `subscriptions` and its children.
CREATE TABLE heads (
    run INTEGER PRIMARY KEY,
    head INTEGER NOT NULL,
    status TEXT NOT NULL,
    updated INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    ended INTEGER,
    result BLOB
) STRICT;
CREATE INDEX heads_active ON heads (run) WHERE parked = 0;
CREATE INDEX heads_open ON heads (status) WHERE status NOT IN ('completed', 'cancelled');

-- The facts, append-only, one list a run through `prev` (0 ends it): an integer key takes six times the rows of a
-- (run, number) key. `mark` is the position in `events` of a received event.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    prev INTEGER NOT NULL,
    mark INTEGER,
    body BLOB NOT NULL
) STRICT;

-- At most one a run; what replay would reach at `seq`.
CREATE TABLE snapshots (
    run INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- Timers of runs outside memory, and those that memory has no room for. `boot` tells which opening wrote the row:
-- only such rows move when the wall clock is set.
CREATE TABLE timers (
    due INTEGER NOT NULL,
    run INTEGER NOT NULL,
    id TEXT NOT NULL,
    boot INTEGER NOT NULL,
    PRIMARY KEY (due, run, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX timers_run ON timers (run, id);

-- Subscriptions of runs outside memory. `type` is the literal event type of one filter, '' when any type may match.
CREATE TABLE subscriptions (
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    run INTEGER NOT NULL,
    id TEXT NOT NULL,
    filters BLOB NOT NULL,
    PRIMARY KEY (tenant, type, run, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX subscriptions_run ON subscriptions (run);

-- CloudEvents, each once by (tenant, source, id), kept for a while for subscriptions that come later. `emitted` is 1 when
-- a run of this journal emitted it: such events also leave the engine (`outgoing`).
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    received INTEGER NOT NULL,
    body BLOB NOT NULL,
    emitted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX events_emitted ON events (seq) WHERE emitted = 1;
CREATE UNIQUE INDEX events_identity ON events (tenant, source, id);
CREATE INDEX events_type ON events (tenant, type, seq);

-- Runs under way that listen for lifecycle events, by the type; '' when any of these types may do. Only for these are
-- such events made.
CREATE TABLE watches (
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (run, type)
) WITHOUT ROWID, STRICT;

CREATE TABLE blobs (
    hash BLOB PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Documents with the outside documents pinned to them, by content; and the published ones by name, a tenant each.
CREATE TABLE definitions (
    hash TEXT PRIMARY KEY,
    document BLOB NOT NULL,
    resources BLOB NOT NULL
) STRICT;
CREATE TABLE published (
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (tenant, namespace, name, version)
) WITHOUT ROWID, STRICT;

CREATE TABLE openings (boot INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
