-- What the parties of a baseline agreed upon after it was fitted, in the order in which they did. An entry is never changed
-- and never taken away: one that turns out wrong is withdrawn by another one.
CREATE TABLE adjustments (
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    baseline_id TEXT NOT NULL REFERENCES baselines (id),
    place       INTEGER NOT NULL CHECK (place >= 1),
    name        TEXT NOT NULL,
    document    TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (baseline_id, place),
    UNIQUE (baseline_id, name)
) STRICT;

CREATE TRIGGER adjustments_are_not_changed BEFORE UPDATE ON adjustments
BEGIN SELECT RAISE (ABORT, 'an adjustment that was agreed upon is not changed'); END;

CREATE TRIGGER adjustments_are_kept BEFORE DELETE ON adjustments
BEGIN SELECT RAISE (ABORT, 'an adjustment that was agreed upon is kept'); END;
