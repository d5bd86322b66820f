-- Rows of varying length: hints that cost a round trip when they are lost, never a promise.

CREATE TABLE varying.sources (
  registrar INTEGER NOT NULL,
  address TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (registrar, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE varying.notes (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
