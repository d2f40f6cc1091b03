//! negawatt-api
