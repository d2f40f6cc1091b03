//! negawatt-config
