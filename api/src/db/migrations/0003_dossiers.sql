-- What is known of a baseline besides its rows (`dossier`: certificates, inventory, waivers, signatures) and what a facility
-- grows (`yield`: the plan of its contract and its harvests). The newest version holds; none is changed or taken away.
CREATE TABLE baseline_papers (
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    baseline_id TEXT NOT NULL REFERENCES baselines (id),
    kind        TEXT NOT NULL CHECK (kind IN ('dossier', 'yield')),
    version     INTEGER NOT NULL CHECK (version >= 1),
    document    TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (baseline_id, kind, version)
) STRICT;

CREATE TRIGGER baseline_papers_are_not_changed BEFORE UPDATE ON baseline_papers
BEGIN SELECT RAISE (ABORT, 'a paper of a baseline is not changed: add a version'); END;

CREATE TRIGGER baseline_papers_are_kept BEFORE DELETE ON baseline_papers
BEGIN SELECT RAISE (ABORT, 'a paper of a baseline is kept'); END;
