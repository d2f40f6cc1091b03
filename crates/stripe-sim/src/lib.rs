//! negawatt-stripe-sim
