//! The room tested against real repositories, with git itself as the judge.

mod attributes;
mod bases;
mod begin;
mod checkouts;
mod concurrency;
mod crashes;
mod direct;
mod evidence;
pub(crate) mod fixture;
mod forwarding;
mod lanes;
mod merging;
mod opening;
mod programs;
mod refusals;
mod unfinished;
mod unsaved;
