//! negawatt-ledger
