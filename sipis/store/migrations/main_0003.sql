-- The limit for accounts that never registered counts from when the account was given, which may be
-- long after its instance was made.
ALTER TABLE instances ADD COLUMN account_since INTEGER NOT NULL DEFAULT 1099511627776;
UPDATE instances SET account_since = created_at;
DROP INDEX instances_never_registered;
CREATE INDEX instances_never_registered ON instances (account_since)
  WHERE first_registered_at = 70368744177664;
