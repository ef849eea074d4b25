//! Removing and bringing back, against real repositories and with git itself as the judge.

mod branches;
mod coming_back;
mod crashes;
mod expiring;
mod refusals;
mod world;
