//! The tests of the whole program: one binary, one module a subject.
//!
//! Every test works in a `helpers::Sandbox` of its own: its own HOME, PATH, settings and temp directory, the real
//! git, scripted agents. It waits for events, never for time, and leaves no process behind.

#[cfg(test)]
mod helpers;

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod attach;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod batch_crash;
#[cfg(test)]
mod batch_endings;
#[cfg(test)]
mod crash_everywhere;
#[cfg(test)]
mod create;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod dispatch;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod faults_agent;
#[cfg(test)]
mod faults_checkouts;
#[cfg(test)]
mod faults_concurrency;
#[cfg(test)]
mod faults_crash;
#[cfg(test)]
mod faults_disks;
#[cfg(test)]
mod faults_endless;
#[cfg(test)]
mod faults_identity;
#[cfg(test)]
mod faults_names;
#[cfg(test)]
mod faults_records;
#[cfg(test)]
mod faults_security;
#[cfg(test)]
mod faults_worktrees;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod launch_failures;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod list;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod merge_checkouts;
#[cfg(test)]
mod merge_crash;
#[cfg(test)]
mod merge_guard;
#[cfg(test)]
mod merge_landing;
#[cfg(test)]
mod merge_verify;
#[cfg(test)]
mod meta;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_server;
#[cfg(test)]
mod real_pi;
#[cfg(test)]
mod real_pi_backlog;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod reliability;
#[cfg(test)]
mod remove_crash;
#[cfg(test)]
mod run_loop;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod supervisor;
#[cfg(test)]
mod tickets;
#[cfg(test)]
mod wait;
