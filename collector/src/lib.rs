//! negawatt-collector
