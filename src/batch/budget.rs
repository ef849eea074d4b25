//! What a batch and a ticket may use. Pure.

use super::board::Used;
use super::event::Halt;

/// The bounds; a bound that is not there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// US dollars, by the agents' own account.
    pub cost: Option<f64>,
    /// Tokens sent and received.
    pub tokens: Option<u64>,
}

impl Budget {
    /// Whether there is any bound.
    pub fn is_bounded(&self) -> bool {
        self.cost.is_some() || self.tokens.is_some()
    }

    /// What is used up.
    pub fn used_up(&self, used: Used) -> Option<Halt> {
        if self.cost.is_some_and(|most| used.cost >= most) {
            return Some(Halt::CostUsedUp);
        }
        self.tokens.is_some_and(|most| used.tokens >= most).then_some(Halt::TokensUsedUp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_reached_when_as_much_was_used() {
        let budget = Budget { cost: Some(1.0), tokens: Some(100) };
        let cases = [
            (0, 0.0, None),
            (99, 0.99, None),
            (0, 1.0, Some(Halt::CostUsedUp)),
            (100, 0.0, Some(Halt::TokensUsedUp)),
        ];
        for (tokens, cost, expected) in cases {
            assert_eq!(budget.used_up(Used { tokens, cost }), expected, "{tokens} {cost}");
        }
        assert_eq!(Budget::default().used_up(Used { tokens: u64::MAX, cost: 1e9 }), None);
    }
}
