//! The built program as its user meets it: the main job with faults in the middle, its evidence, and bad input.
#![expect(clippy::unwrap_used, reason = "a panic here is the test failing")]

mod audit;
mod bad_input;
mod demo;
mod faults;
mod faults_ingest;
mod imports;
mod operations;
mod portfolio;
mod portfolio_table;
mod readings;
mod savings;
mod savings_input;
mod side_by_side;
mod up;
mod vee;
