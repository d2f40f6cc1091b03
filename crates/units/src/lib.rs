//! negawatt-units
