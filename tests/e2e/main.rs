//! The built program as its user meets it: the main job with faults in the middle, its evidence, and bad input.
#![expect(clippy::unwrap_used, reason = "a panic here is the test failing")]

mod audit;
mod bad_input;
mod demo;
mod faults;
mod faults_ingest;
mod readings;
mod up;
