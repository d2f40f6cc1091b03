-- The whole house of the first release. Amounts are minor units beside their currency, times are UTC milliseconds,
-- identifiers are their prefixed text. Every table that holds somebody's data carries its tenant.

CREATE TABLE tenants (
    id          TEXT PRIMARY KEY,
    slug        TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    prefix      TEXT NOT NULL,
    sha256      BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    role        TEXT NOT NULL CHECK (role IN ('admin', 'auditor')),
    created_ms  INTEGER NOT NULL,
    revoked_ms  INTEGER
) STRICT;

CREATE TABLE facilities (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    slug        TEXT NOT NULL,
    name        TEXT NOT NULL,
    zone        TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    UNIQUE (tenant_id, slug)
) STRICT;

CREATE TABLE devices (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    facility_id TEXT NOT NULL REFERENCES facilities (id),
    slug        TEXT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('meter', 'weather', 'sensor')),
    profile     TEXT,
    created_ms  INTEGER NOT NULL,
    UNIQUE (facility_id, slug)
) STRICT;

CREATE TABLE baselines (
    id                  TEXT PRIMARY KEY,
    tenant_id           TEXT NOT NULL REFERENCES tenants (id),
    facility_id         TEXT NOT NULL REFERENCES facilities (id),
    method              TEXT NOT NULL,
    meters              TEXT NOT NULL,
    weather             TEXT NOT NULL,
    period_start        TEXT NOT NULL,
    period_end          TEXT NOT NULL,
    verification_status TEXT NOT NULL DEFAULT 'unverified' CHECK (verification_status IN ('unverified', 'verified', 'rejected')),
    verified_by         TEXT,
    verified_ms         INTEGER,
    inputs              TEXT NOT NULL,
    summary             TEXT NOT NULL,
    fit                 TEXT NOT NULL,
    digest              TEXT NOT NULL,
    created_ms          INTEGER NOT NULL
) STRICT;

-- A verified baseline is what bills rest on: nothing about it changes any more.
CREATE TRIGGER baselines_verified_are_frozen BEFORE UPDATE ON baselines
WHEN OLD.verification_status <> 'unverified'
BEGIN SELECT RAISE (ABORT, 'a verified or rejected baseline is frozen'); END;

CREATE TABLE payees (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL REFERENCES tenants (id),
    name              TEXT NOT NULL,
    kind              TEXT NOT NULL CHECK (kind IN ('platform', 'network', 'facility', 'investor', 'partner')),
    email             TEXT,
    country           TEXT NOT NULL,
    stripe_account_id TEXT UNIQUE,
    created_ms        INTEGER NOT NULL
) STRICT;

CREATE TABLE contracts (
    id                 TEXT PRIMARY KEY,
    tenant_id          TEXT NOT NULL REFERENCES tenants (id),
    facility_id        TEXT NOT NULL REFERENCES facilities (id),
    baseline_id        TEXT NOT NULL REFERENCES baselines (id),
    currency           TEXT NOT NULL,
    starts_on          TEXT NOT NULL,
    ends_on            TEXT,
    terms              TEXT NOT NULL,
    payer              TEXT NOT NULL,
    stripe_customer_id TEXT,
    stripe_method_id   TEXT,
    created_ms         INTEGER NOT NULL
) STRICT;

CREATE TABLE statements (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id),
    facility_id  TEXT NOT NULL REFERENCES facilities (id),
    contract_id  TEXT NOT NULL REFERENCES contracts (id),
    baseline_id  TEXT NOT NULL REFERENCES baselines (id),
    period_start TEXT NOT NULL,
    period_end   TEXT NOT NULL,
    document     TEXT NOT NULL,
    digest       TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    UNIQUE (contract_id, period_start, period_end)
) STRICT;

CREATE TRIGGER statements_are_frozen BEFORE UPDATE ON statements
BEGIN SELECT RAISE (ABORT, 'a statement is frozen'); END;

CREATE TABLE invoice_counters (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    series    TEXT NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE invoices (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL REFERENCES tenants (id),
    facility_id     TEXT NOT NULL REFERENCES facilities (id),
    statement_id    TEXT NOT NULL UNIQUE REFERENCES statements (id),
    number          TEXT,
    status          TEXT NOT NULL CHECK (status IN ('draft', 'issued', 'paid', 'void', 'uncollectible')),
    currency        TEXT NOT NULL,
    total_minor     INTEGER NOT NULL,
    paid_minor      INTEGER NOT NULL DEFAULT 0,
    document        TEXT NOT NULL,
    issued_ms       INTEGER,
    paid_ms         INTEGER,
    evidence_file   TEXT,
    evidence_sha256 TEXT,
    created_ms      INTEGER NOT NULL,
    UNIQUE (tenant_id, number),
    CHECK (paid_minor BETWEEN 0 AND total_minor),
    CHECK ((status = 'draft') = (number IS NULL))
) STRICT;

CREATE TABLE invoice_lines (
    invoice_id   TEXT NOT NULL REFERENCES invoices (id),
    position     INTEGER NOT NULL,
    description  TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (invoice_id, position)
) STRICT, WITHOUT ROWID;

-- How the total is split, as computed at issue; never recomputed.
CREATE TABLE invoice_parts (
    invoice_id   TEXT NOT NULL REFERENCES invoices (id),
    position     INTEGER NOT NULL,
    payee_id     TEXT NOT NULL REFERENCES payees (id),
    kind         TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (invoice_id, position),
    UNIQUE (invoice_id, payee_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER invoice_parts_are_frozen BEFORE UPDATE ON invoice_parts
BEGIN SELECT RAISE (ABORT, 'the split of an invoice is frozen'); END;
CREATE TRIGGER invoice_parts_stay BEFORE DELETE ON invoice_parts
BEGIN SELECT RAISE (ABORT, 'the split of an invoice is frozen'); END;

-- Issued is frozen: only what collection learns (status, paid_minor, paid_ms) may still move.
CREATE TRIGGER invoices_issued_are_frozen BEFORE UPDATE ON invoices
WHEN OLD.status <> 'draft' AND (
    NEW.number IS NOT OLD.number OR NEW.currency <> OLD.currency OR NEW.total_minor <> OLD.total_minor
    OR NEW.document <> OLD.document OR NEW.issued_ms IS NOT OLD.issued_ms OR NEW.statement_id <> OLD.statement_id
    OR NEW.evidence_sha256 IS NOT OLD.evidence_sha256 OR NEW.status = 'draft')
BEGIN SELECT RAISE (ABORT, 'an issued invoice is frozen'); END;
CREATE TRIGGER invoices_issued_stay BEFORE DELETE ON invoices
WHEN OLD.status <> 'draft'
BEGIN SELECT RAISE (ABORT, 'an issued invoice is frozen'); END;
CREATE TRIGGER invoice_lines_are_frozen BEFORE UPDATE ON invoice_lines
BEGIN SELECT RAISE (ABORT, 'an invoice line is frozen'); END;
CREATE TRIGGER invoice_lines_stay BEFORE DELETE ON invoice_lines
WHEN (SELECT status FROM invoices WHERE id = OLD.invoice_id) <> 'draft'
BEGIN SELECT RAISE (ABORT, 'an issued invoice is frozen'); END;

-- One row per attempt to collect. It is written before the provider is called, so that a lost answer can be looked up.
CREATE TABLE payments (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL REFERENCES tenants (id),
    invoice_id        TEXT NOT NULL REFERENCES invoices (id),
    attempt           INTEGER NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'succeeded', 'failed')),
    currency          TEXT NOT NULL,
    amount_minor      INTEGER NOT NULL CHECK (amount_minor > 0),
    payment_method    TEXT NOT NULL,
    stripe_intent_id  TEXT UNIQUE,
    stripe_charge_id  TEXT,
    failure           TEXT,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    UNIQUE (invoice_id, attempt)
) STRICT;

CREATE UNIQUE INDEX payments_one_open ON payments (invoice_id) WHERE status <> 'failed';

CREATE TABLE payouts (
    id                 TEXT PRIMARY KEY,
    tenant_id          TEXT NOT NULL REFERENCES tenants (id),
    invoice_id         TEXT NOT NULL REFERENCES invoices (id),
    payment_id         TEXT NOT NULL REFERENCES payments (id),
    payee_id           TEXT NOT NULL REFERENCES payees (id),
    kind               TEXT NOT NULL,
    state              TEXT NOT NULL
        CHECK (state IN ('pending', 'ready', 'processing', 'unknown', 'completed', 'failed', 'cancelled')),
    currency           TEXT NOT NULL,
    amount_minor       INTEGER NOT NULL CHECK (amount_minor > 0),
    attempt            INTEGER NOT NULL,
    stripe_transfer_id TEXT UNIQUE,
    -- Not before this time: the contract's hold.
    release_ms         INTEGER NOT NULL,
    failure            TEXT,
    created_ms         INTEGER NOT NULL,
    updated_ms         INTEGER NOT NULL,
    UNIQUE (invoice_id, payee_id, kind)
) STRICT;

CREATE TABLE ledger_transactions (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id),
    chain        INTEGER NOT NULL,
    source       TEXT NOT NULL,
    effect       TEXT NOT NULL,
    document     TEXT NOT NULL,
    effective_ms INTEGER NOT NULL,
    recorded_ms  INTEGER NOT NULL,
    previous     TEXT NOT NULL,
    hash         TEXT NOT NULL,
    UNIQUE (tenant_id, source, effect),
    UNIQUE (tenant_id, chain)
) STRICT;

CREATE TABLE ledger_postings (
    transaction_id TEXT NOT NULL REFERENCES ledger_transactions (id),
    position       INTEGER NOT NULL,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    account        TEXT NOT NULL,
    currency       TEXT NOT NULL,
    amount_minor   INTEGER NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (transaction_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_postings_by_account ON ledger_postings (tenant_id, account, currency);

CREATE TRIGGER ledger_transactions_no_update BEFORE UPDATE ON ledger_transactions
BEGIN SELECT RAISE (ABORT, 'the ledger is append only'); END;
CREATE TRIGGER ledger_transactions_no_delete BEFORE DELETE ON ledger_transactions
BEGIN SELECT RAISE (ABORT, 'the ledger is append only'); END;
CREATE TRIGGER ledger_postings_no_update BEFORE UPDATE ON ledger_postings
BEGIN SELECT RAISE (ABORT, 'the ledger is append only'); END;
CREATE TRIGGER ledger_postings_no_delete BEFORE DELETE ON ledger_postings
BEGIN SELECT RAISE (ABORT, 'the ledger is append only'); END;

CREATE TABLE idempotency_keys (
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    api_key_id  TEXT NOT NULL REFERENCES api_keys (id),
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    subject     TEXT,
    status      INTEGER,
    body        TEXT,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, api_key_id, key)
) STRICT, WITHOUT ROWID;

-- The outbox: what happened, in order; the status page and outgoing webhooks read from it.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE audit_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    request_id  TEXT,
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE (ABORT, 'the audit log is append only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE (ABORT, 'the audit log is append only'); END;

CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'dead')),
    run_at_ms  INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    lease_ms   INTEGER,
    failure    TEXT,
    created_ms INTEGER NOT NULL
) STRICT;

-- One live job per thing to do; a dead one blocks its successor until somebody has looked.
CREATE UNIQUE INDEX jobs_one_live ON jobs (kind, subject) WHERE state <> 'done';
CREATE INDEX jobs_due ON jobs (run_at_ms) WHERE state IN ('queued', 'running');

CREATE TABLE webhook_inbox (
    event_id     TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    object_id    TEXT NOT NULL,
    body         BLOB NOT NULL,
    received_ms  INTEGER NOT NULL,
    processed_ms INTEGER
) STRICT, WITHOUT ROWID;
