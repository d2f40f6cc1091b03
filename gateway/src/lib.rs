//! negawatt-gateway
