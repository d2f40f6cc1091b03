//! negawatt-devices
