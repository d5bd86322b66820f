-- Every table of this file that bears secrets or personal data has rows of one fixed length:
-- times are milliseconds between 2**40 and 2**46 (six bytes), counters carry 2**32 on top (six
-- bytes), words are codes from 2 (one byte), flags are 0 and 1 (no byte at all), row numbers begin
-- where they take a constant width. 70368744177664 is "never", 1099511627776 is "long ago".

CREATE TABLE apps (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  instances INTEGER NOT NULL DEFAULT 0,
  targets INTEGER NOT NULL DEFAULT 0
) STRICT;

-- key_hash finds the row; key is zeroed when the last instance leaves, what is owed to the
-- registrar (its pause, its failures) stays. next_due_at is never later than the earliest
-- next_attempt_at of the registrar's rows in schedule.
CREATE TABLE registrars (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
  key BLOB NOT NULL CHECK (length(key) = 256),
  instances INTEGER NOT NULL,
  next_due_at INTEGER NOT NULL,
  paused_until INTEGER NOT NULL,
  min_expires INTEGER NOT NULL
) STRICT;
CREATE INDEX registrars_due ON registrars (next_due_at, paused_until);
CREATE INDEX registrars_unused ON registrars (paused_until) WHERE instances = 4294967296;

-- What an address of a registrar holds against us; found by the hash of its key alone.
CREATE TABLE standings (
  s INTEGER PRIMARY KEY AUTOINCREMENT,
  key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
  paused_until INTEGER NOT NULL,
  trips INTEGER NOT NULL,
  refused_at BLOB NOT NULL CHECK (length(refused_at) = 128),
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX standings_age ON standings (updated_at);

CREATE TABLE instances (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  app INTEGER NOT NULL REFERENCES apps (id),
  secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
  mode INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ttl INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  version INTEGER NOT NULL,
  contact_token BLOB NOT NULL UNIQUE CHECK (length(contact_token) = 16),
  relay_user BLOB NOT NULL UNIQUE CHECK (length(relay_user) = 16),
  registrar INTEGER NOT NULL,
  aor_index BLOB NOT NULL CHECK (length(aor_index) = 32),
  commitment BLOB NOT NULL CHECK (length(commitment) = 32),
  idempotency BLOB NOT NULL CHECK (length(idempotency) = 32),
  preview INTEGER NOT NULL,
  warned INTEGER NOT NULL,
  first_registered_at INTEGER NOT NULL
) STRICT;
CREATE INDEX instances_aor ON instances (aor_index, registrar);
CREATE INDEX instances_expiry ON instances (expires_at);
CREATE INDEX instances_unwarned ON instances (expires_at) WHERE warned = 0;
CREATE INDEX instances_never_registered ON instances (created_at)
  WHERE first_registered_at = 70368744177664;
CREATE UNIQUE INDEX instances_idempotency ON instances (idempotency)
  WHERE idempotency <> x'0000000000000000000000000000000000000000000000000000000000000000';

-- The hot half of an instance: every refresh rewrites this row and no other.
CREATE TABLE schedule (
  n INTEGER PRIMARY KEY REFERENCES instances (n) ON DELETE CASCADE,
  registrar INTEGER NOT NULL,
  next_attempt_at INTEGER NOT NULL,
  in_flight_until INTEGER NOT NULL,
  held_until INTEGER NOT NULL,
  again INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  flow INTEGER NOT NULL,
  call_id BLOB NOT NULL CHECK (length(call_id) = 16),
  cseq INTEGER NOT NULL,
  nonce_count INTEGER NOT NULL,
  granted INTEGER NOT NULL,
  bound_until INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  last_attempt_at INTEGER NOT NULL,
  last_status INTEGER NOT NULL,
  state INTEGER NOT NULL,
  state_since INTEGER NOT NULL,
  reason BLOB NOT NULL CHECK (length(reason) = 32),
  failures INTEGER NOT NULL,
  refusals INTEGER NOT NULL
) STRICT;
CREATE INDEX schedule_due ON schedule (registrar, next_attempt_at);
CREATE INDEX schedule_in_flight ON schedule (in_flight_until)
  WHERE in_flight_until < 70368744177664;
CREATE INDEX schedule_flow ON schedule (flow) WHERE flow > 4294967296;
-- Code 4 is "registered": this index holds the exceptions, so that they can be counted and listed.
CREATE INDEX schedule_exceptions ON schedule (state, state_since) WHERE state <> 4;

CREATE TABLE targets (
  t INTEGER PRIMARY KEY AUTOINCREMENT,
  n INTEGER NOT NULL REFERENCES instances (n) ON DELETE CASCADE,
  token_index BLOB NOT NULL CHECK (length(token_index) = 32),
  app INTEGER NOT NULL,
  provider INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  environment INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  last_ok_at INTEGER NOT NULL,
  verified INTEGER NOT NULL,
  dead INTEGER NOT NULL,
  code_hash BLOB NOT NULL CHECK (length(code_hash) = 32),
  code_until INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX targets_instance ON targets (n, token_index);
CREATE INDEX targets_token ON targets (token_index);

CREATE TABLE messages (
  m INTEGER PRIMARY KEY AUTOINCREMENT,
  n INTEGER NOT NULL REFERENCES instances (n) ON DELETE CASCADE,
  mid BLOB NOT NULL CHECK (length(mid) = 16),
  dedupe BLOB NOT NULL CHECK (length(dedupe) = 32),
  received_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  delivered INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_mid ON messages (n, mid);
CREATE UNIQUE INDEX messages_dedupe ON messages (n, dedupe);
CREATE INDEX messages_expiry ON messages (expires_at);

CREATE TABLE calls (
  c INTEGER PRIMARY KEY AUTOINCREMENT,
  n INTEGER NOT NULL REFERENCES instances (n) ON DELETE CASCADE,
  uuid BLOB NOT NULL CHECK (length(uuid) = 16),
  state INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX calls_uuid ON calls (n, uuid);
CREATE INDEX calls_expiry ON calls (expires_at);
CREATE INDEX calls_live ON calls (started_at) WHERE ended_at = 70368744177664;

CREATE TABLE tombstones (
  t INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
  idempotency BLOB NOT NULL CHECK (length(idempotency) = 32),
  commitment BLOB NOT NULL CHECK (length(commitment) = 32),
  erased_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tombstones_expiry ON tombstones (expires_at);
CREATE INDEX tombstones_idempotency ON tombstones (idempotency)
  WHERE idempotency <> x'0000000000000000000000000000000000000000000000000000000000000000';

CREATE TABLE gone_contacts (
  g INTEGER PRIMARY KEY AUTOINCREMENT,
  token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX gone_contacts_expiry ON gone_contacts (expires_at);

CREATE TABLE receipts (
  r INTEGER PRIMARY KEY AUTOINCREMENT,
  commitment BLOB NOT NULL UNIQUE CHECK (length(commitment) = 32),
  reason INTEGER NOT NULL,
  erased_at INTEGER NOT NULL
) STRICT;
CREATE INDEX receipts_age ON receipts (erased_at);

-- Key slots that no row uses any more and whose destruction is not yet known to be on disk.
CREATE TABLE pending_destroy (
  slot INTEGER PRIMARY KEY, -- as a counter
  id BLOB NOT NULL CHECK (length(id) = 16)
) STRICT;

CREATE TABLE records_512 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 576)
) STRICT;
CREATE TABLE records_1024 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 1088)
) STRICT;
CREATE TABLE records_2048 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 2112)
) STRICT;
CREATE TABLE records_4096 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 4160)
) STRICT;
CREATE TABLE records_8192 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 8256)
) STRICT;
CREATE TABLE records_16384 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 16448)
) STRICT;
CREATE TABLE records_32768 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 32832)
) STRICT;
CREATE TABLE records_65536 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 65600)
) STRICT;
CREATE TABLE records_131072 (
  item INTEGER PRIMARY KEY,
  record BLOB NOT NULL CHECK (length(record) = 131136)
) STRICT;
CREATE VIEW records AS
  SELECT item, record FROM records_512
  UNION ALL SELECT item, record FROM records_1024
  UNION ALL SELECT item, record FROM records_2048
  UNION ALL SELECT item, record FROM records_4096
  UNION ALL SELECT item, record FROM records_8192
  UNION ALL SELECT item, record FROM records_16384
  UNION ALL SELECT item, record FROM records_32768
  UNION ALL SELECT item, record FROM records_65536
  UNION ALL SELECT item, record FROM records_131072;

-- Row numbers begin where they take five bytes as keys and four as values.
INSERT INTO sqlite_sequence (name, seq) VALUES
  ('apps', 16777216), ('registrars', 16777216), ('instances', 268435455),
  ('standings', 268435455),
  ('targets', 268435455),
  ('messages', 268435455),
  ('calls', 268435455),
  ('tombstones', 268435455),
  ('gone_contacts', 268435455),
  ('receipts', 268435455);
