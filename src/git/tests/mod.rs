//! The room tested against real repositories, with git itself as the judge.

mod fixture;
mod lanes;
