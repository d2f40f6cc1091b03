//! negawatt-calculator
