//! negawatt-wire
