//! negawatt-evidence
