//! Which ticket was meant: the rules of `tk` for partial ids, and the nearest ids where none fits.
//!
//! An id that is there is meant, whatever else it is a part of. Otherwise the typed text must be a part of exactly
//! one id. Case counts. Unlike in the script, `*`, `?` and `[` stand for themselves.

use unicode_normalization::UnicodeNormalization;

use crate::config::wording;
use crate::id::TicketId;

/// How many ids are suggested.
const SUGGESTIONS: usize = 3;
/// No id is longer, so nothing longer can be a part of one.
const LONGEST: usize = 200;

/// What a typed id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The id of this ticket.
    Exact(TicketId),
    /// A part of this ticket's id and of no other.
    Partial(TicketId),
    /// A part of several ids.
    Ambiguous(Vec<TicketId>),
    /// A part of no id.
    Unknown {
        /// Ids that look like it, the closest first.
        nearest: Vec<TicketId>,
    },
}

/// Finds what `typed` stands for among `ids`, which are in order and distinct.
pub(super) fn resolve<'a>(typed: &str, ids: impl Iterator<Item = &'a TicketId> + Clone) -> Resolution {
    let part = normal(typed);
    if let Some(id) = ids.clone().find(|id| id.as_str() == part) {
        return Resolution::Exact(id.clone());
    }
    if part.is_empty() {
        return Resolution::Unknown { nearest: Vec::new() };
    }
    let mut matches: Vec<TicketId> = ids.clone().filter(|id| id.as_str().contains(&part)).cloned().collect();
    match matches.len() {
        0 => Resolution::Unknown { nearest: nearest(typed, ids) },
        1 => Resolution::Partial(matches.remove(0)),
        _ => Resolution::Ambiguous(matches),
    }
}

/// The ids that look most like `typed`.
pub(super) fn nearest<'a>(typed: &str, ids: impl Iterator<Item = &'a TicketId>) -> Vec<TicketId> {
    let part = normal(typed);
    // Ids are looked up again as ids, so that the caller gets what is there and not a text.
    let close = wording::nearest(&part, ids.map(TicketId::as_str), SUGGESTIONS);
    close.into_iter().filter_map(|id| id.parse().ok()).collect()
}

/// The typed text in the form that ids have. What is cut off could not be in an id.
fn normal(typed: &str) -> String {
    typed.trim().chars().take(LONGEST + 1).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(names: &[&str]) -> Vec<TicketId> {
        let mut ids: Vec<TicketId> = names.iter().map(|name| name.parse().unwrap()).collect();
        ids.sort();
        ids
    }

    fn found(typed: &str, names: &[&str]) -> Resolution {
        resolve(typed, ids(names).iter())
    }

    fn partial(id: &str) -> Resolution {
        Resolution::Partial(id.parse().unwrap())
    }

    #[test]
    fn an_id_is_found_by_any_part_that_no_other_id_has() {
        for part in ["abc", "1234", "c-12", "abc-123", " 1234\n"] {
            assert_eq!(found(part, &["abc-1234", "xyz-9999"]), partial("abc-1234"), "{part:?}");
        }
    }

    #[test]
    fn a_part_of_several_ids_is_ambiguous_and_names_them() {
        let expected = Resolution::Ambiguous(ids(&["abc-1234", "abc-5678"]));
        assert_eq!(found("abc", &["abc-5678", "abc-1234", "xyz-1"]), expected);
    }

    #[test]
    fn an_id_that_is_there_is_meant_even_where_it_is_a_part_of_others() {
        let exact = Resolution::Exact("abc".parse().unwrap());
        assert_eq!(found("abc", &["abc", "abc-1234", "0abc"]), exact);
        assert!(matches!(found("T-1", &["T-10", "T-11"]), Resolution::Ambiguous(_)));
    }

    #[test]
    fn an_unknown_id_comes_back_with_the_nearest_ones() {
        let nearest = ids(&["pt-9yjn"]);
        assert_eq!(found("pt-9ynj", &["pt-9yjn", "pt-0000", "ui-1"]), Resolution::Unknown { nearest });
        assert_eq!(found("t-1", &["T-1"]), Resolution::Unknown { nearest: ids(&["T-1"]) });
        assert_eq!(found("x", &[]), Resolution::Unknown { nearest: vec![] });
    }

    #[test]
    fn nothing_typed_means_no_ticket_and_patterns_stand_for_themselves() {
        for typed in ["", " ", "*", "?", "[a]", "a*", "../T-1", "T-1\0"] {
            assert!(matches!(found(typed, &["T-1"]), Resolution::Unknown { .. }), "{typed:?}");
        }
    }

    #[test]
    fn both_ways_to_write_an_accent_find_the_ticket() {
        let names = ["caf\u{e9}-1", "other"];
        assert_eq!(found("cafe\u{301}", &names), partial("caf\u{e9}-1"));
        assert!(matches!(found("cafe\u{301}-1", &names), Resolution::Exact(_)));
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_makes_it_panic(typed in any::<String>()) {
            found(&typed, &["T-1", "caf\u{e9}", "pt-9yjn"]);
        }

        #[test]
        fn every_part_of_an_only_id_finds_it(id in "[a-z0-9]{2,4}-[a-z0-9]{4}", from in 0..6usize, length in 1..6usize) {
            let part = &id[from.min(id.len() - 1)..(from + length).min(id.len())];
            let names = [id.as_str()];
            let expected: TicketId = id.parse().unwrap();
            match found(part, &names) {
                Resolution::Exact(found) | Resolution::Partial(found) => prop_assert_eq!(found, expected),
                other => prop_assert!(false, "{:?} for {:?}", other, part),
            }
        }
    }
}
