//! negawatt-settlement
