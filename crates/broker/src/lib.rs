//! negawatt-broker
