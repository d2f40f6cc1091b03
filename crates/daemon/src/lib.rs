//! negawatt-daemon
