//! negawatt-money
