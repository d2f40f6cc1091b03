//! The law of the house as tests. A test that fails here says what to do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arrows;
mod house;
mod members;
mod profiles;
mod purity;
mod sources;
