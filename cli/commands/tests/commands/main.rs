//! The commands, in process, against a scripted cluster. What they print is kept in `tests/out/`;
//! `GANTRY_BLESS=1` writes those files anew, so that a change of the output is seen in review.

mod cluster;
mod console;
mod fake_cluster;
mod fake_inside;
mod fake_machine;
mod fake_tables;
mod harness;
mod help;
mod instance;
mod job;
mod matrix;
mod node;
mod opcode_files;
mod refusals;
mod tags;
mod top;
mod values;
mod yaml;
