//! What holds of names whatever they are made of: none leads out of a folder or is an option, each is read as it is
//! written, and folders and branches of lanes are names themselves.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::{BranchName, Lane, NameError, RefName, SLUG_CHARS, SessionId, Slug, TicketId};

/// Every kind of name.
pub(crate) fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(ticket) = again::<TicketId>(text) {
        assert!(ticket.as_str().chars().count() <= 100 && is_harmless(ticket.as_str()), "{ticket:?}");
        assert!(!ticket.as_str().contains('/'));
    }
    for name in [again::<RefName>(text).map(String::from), again::<BranchName>(text).map(String::from)] {
        assert!(name.is_none_or(|name| name.len() <= 200 && is_harmless(&name)));
    }
    again::<SessionId>(text);
    if let Some(lane) = again::<Lane>(text) {
        let branch = lane.default_branch();
        assert_eq!(branch.as_str().parse().as_ref(), Ok(&branch), "the branch of {lane:?}");
        slug(&lane.slug());
        assert!(Slug::may_be_of(lane.slug().as_str(), lane.ticket().as_str()), "{lane:?}");
    }
    slug(&Slug::of(text));
}

fn slug(slug: &Slug) {
    let text = slug.as_str();
    assert!(!text.is_empty() && text.len() <= SLUG_CHARS + 9 && is_harmless(text), "{text:?}");
    assert!(
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)),
        "{text:?}"
    );
}

fn is_harmless(name: &str) -> bool {
    let parts = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    parts && !name.starts_with('-') && !name.chars().any(char::is_control)
}

/// The name, which is read again as it is written.
fn again<T: FromStr<Err = NameError> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(name) => {
            assert_eq!(name.to_string().parse().as_ref(), Ok(&name), "written and read again");
            Some(name)
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 1000 && !said.chars().any(char::is_control), "{said:?}");
            None
        }
    }
}
