//! negawatt-stripe
