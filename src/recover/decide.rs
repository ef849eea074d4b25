//! What should become of a session that is on record as living. Pure.

use crate::launch::{Origin, Probe};
use crate::session::manifest::State;

/// What is known about the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Its manifest says this.
    Manifest {
        /// Its state.
        state: State,
        /// Where it ran.
        origin: Origin,
        /// Whether a supervisor ever had it.
        supervised: Supervised,
    },
    /// Its manifest is of a newer version.
    Newer,
    /// Its manifest cannot be read, or is gone.
    Damaged,
    /// It never came into place: only its entry among the living is there.
    NeverInPlace,
}

/// Whether a supervisor ever had a session. Until one has, there is no agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervised {
    /// It says so in the session's folder, or that cannot be known.
    Maybe,
    /// It would say so, and does not.
    Never,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it lives, or it cannot be told from here.
    Leave(WhyLeft),
    /// Its end is on record: only its entry among the living is left to be taken away.
    Retire,
    /// It was never in place: take away what there is of it.
    Discard,
    /// Its manifest must be made good first.
    Mend,
    /// Record that its agent was never started.
    NeverStarted,
    /// Record that no one saw its end.
    Lost(Leftovers),
}

/// Why a session is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyLeft {
    /// It lives.
    Alive,
    /// It is another machine's.
    Unknown,
    /// A newer ralph wrote its manifest.
    Newer,
}

/// What to do about processes that it may have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// End what bears its mark.
    End,
    /// Nothing: a look at everything that runs has shown that nothing of it does.
    Gone,
    /// Signal nothing: the machine was started again, or the processes are out of sight.
    Ignore,
}

/// Decides.
pub fn decide(probe: Probe, known: &Known) -> Decision {
    match (probe, known) {
        (Probe::Alive, _) => Decision::Leave(WhyLeft::Alive),
        (_, Known::Newer) => Decision::Leave(WhyLeft::Newer),
        (Probe::Unknown, _) | (_, Known::Manifest { origin: Origin::Elsewhere, .. }) => {
            Decision::Leave(WhyLeft::Unknown)
        }
        (Probe::Gone, Known::NeverInPlace) => Decision::Discard,
        (Probe::Gone, Known::Damaged) => Decision::Mend,
        (Probe::Gone, Known::Manifest { state, origin, supervised }) => match state {
            State::Ended => Decision::Retire,
            // The launch is on record before anything is started.
            State::Preparing => Decision::NeverStarted,
            // After a loss of power a mark may be missing that was there.
            State::Launching if (*supervised, *origin) == (Supervised::Never, Origin::Here) => {
                Decision::NeverStarted
            }
            State::Queued | State::Launching | State::Running | State::Stopping | State::Unknown(_) => {
                Decision::Lost(match origin {
                    Origin::Here => Leftovers::End,
                    Origin::EarlierBoot | Origin::OtherNamespace | Origin::Elsewhere => Leftovers::Ignore,
                })
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_that_is_certainly_gone_is_settled() {
        let known =
            |state: &State, origin, supervised| Known::Manifest { state: state.clone(), origin, supervised };
        let at = |state: &State, origin| known(state, origin, Supervised::Maybe);
        use Decision::*;
        use Origin::*;
        let running = State::Running;
        let cases = [
            (Probe::Alive, at(&running, Here), Leave(WhyLeft::Alive)),
            (Probe::Alive, Known::Damaged, Leave(WhyLeft::Alive)),
            (Probe::Alive, Known::NeverInPlace, Leave(WhyLeft::Alive)),
            (Probe::Unknown, at(&running, Here), Leave(WhyLeft::Unknown)),
            (Probe::Unknown, Known::Damaged, Leave(WhyLeft::Unknown)),
            (Probe::Gone, at(&running, Elsewhere), Leave(WhyLeft::Unknown)),
            (Probe::Gone, Known::Newer, Leave(WhyLeft::Newer)),
            (Probe::Gone, Known::NeverInPlace, Discard),
            (Probe::Gone, Known::Damaged, Mend),
            (Probe::Gone, at(&State::Ended, Here), Retire),
            (Probe::Gone, at(&State::Preparing, Here), NeverStarted),
            (Probe::Gone, at(&State::Launching, Here), Lost(Leftovers::End)),
            (Probe::Gone, known(&State::Launching, Here, Supervised::Never), NeverStarted),
            (Probe::Gone, known(&State::Launching, EarlierBoot, Supervised::Never), Lost(Leftovers::Ignore)),
            (Probe::Gone, known(&running, Here, Supervised::Never), Lost(Leftovers::End)),
            (Probe::Gone, at(&running, Here), Lost(Leftovers::End)),
            (Probe::Gone, at(&State::Stopping, Here), Lost(Leftovers::End)),
            (Probe::Gone, at(&running, EarlierBoot), Lost(Leftovers::Ignore)),
            (Probe::Gone, at(&running, OtherNamespace), Lost(Leftovers::Ignore)),
            (Probe::Gone, at(&State::Unknown("dreaming".into()), Here), Lost(Leftovers::End)),
        ];
        for (probe, known, expected) in cases {
            assert_eq!(decide(probe, &known), expected, "{probe:?} {known:?}");
        }
    }
}
