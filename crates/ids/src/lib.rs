//! negawatt-ids
