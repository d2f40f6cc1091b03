//! negawatt-store
