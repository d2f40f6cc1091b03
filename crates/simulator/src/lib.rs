//! negawatt-simulator
