-- The transparency log. A leaf is a line of text padded to one length; its hash stays in log_hashes
-- when the line is dropped after its time. log_hashes holds complete subtrees of 16**tier leaves:
-- place is tier * 2**48 + number of the subtree.
CREATE TABLE log_leaves (
  seq INTEGER PRIMARY KEY,
  ended BLOB NOT NULL,
  line BLOB NOT NULL CHECK (length(line) = 320)
) STRICT;
-- The commitment is repeated in `ended` in the leaf that ends an instance, so that its receipt is
-- found; every other leaf has nothing there and is not in the index.
CREATE INDEX log_leaves_ended ON log_leaves (ended) WHERE ended <> x'';

CREATE TABLE log_hashes (
  place INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- One row: how many leaves there are, dropped ones included.
CREATE TABLE log_size (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  leaves INTEGER NOT NULL
) STRICT;
INSERT INTO log_size (id, leaves) VALUES (1, 0);

-- The newest leaf of every kind.
CREATE TABLE log_newest (
  kind TEXT PRIMARY KEY,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many leaves of a kind a day brought, so that a summary costs the same at any size.
CREATE TABLE log_days (
  day TEXT NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL,
  leaves INTEGER NOT NULL,
  PRIMARY KEY (day, kind, detail)
) STRICT, WITHOUT ROWID;
