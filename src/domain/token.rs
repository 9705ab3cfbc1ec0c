//! The `sync-token` (RFC 6578 §4): which collection, up to which revision, and for a page of an
//! initial sync at which revision the first page was read (SYNC-2, SYNC-17). Knows no store.

use std::fmt;

use super::id::{CollectionId, Revision};

mod births;

pub use self::births::{BirthsToken, MARK, Source, Stage, Steps};

/// The constant front of every token: a URI authority that is never anybody's host, so that the
/// token does not change with the `Host` header.
const PREFIX: &str = "https://cardkeep.invalid/ns/sync/";

/// A sync token: `https://cardkeep.invalid/ns/sync/COLLECTION/REVISION[-BEGAN]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncToken {
    /// The collection whose log the revision counts in.
    pub collection: CollectionId,
    /// The newest revision that the client has seen.
    pub revision: Revision,
    /// Set while an initial sync is being paged: the collection's revision at its first page.
    /// Later pages tell of no removal at or before it, since the client never held that member.
    pub began: Option<Revision>,
}

impl SyncToken {
    /// Reads a token; `None` for anything this server never issued in this form (SYNC-15).
    pub fn parse(text: &str) -> Option<Self> {
        let (collection, revisions) = text.strip_prefix(PREFIX)?.split_once('/')?;
        let (revision, began) = match revisions.split_once('-') {
            Some((revision, began)) => (revision, Some(number(began)?)),
            None => (revisions, None),
        };
        let token = Self { collection: CollectionId::parse(collection)?, revision: number(revision)?, began };
        (token.to_string() == text).then_some(token)
    }
}

/// A sync token of either form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Of a collection that has a log of its own.
    Collection(SyncToken),
    /// Of a calendar of birthdays.
    Births(BirthsToken),
}

impl Token {
    /// Reads a token; `None` for anything this server never issued in these forms (SYNC-15).
    pub fn parse(text: &str) -> Option<Self> {
        let collection = || SyncToken::parse(text).map(Self::Collection);
        collection().or_else(|| BirthsToken::parse(text).map(Self::Births))
    }
}

fn number(text: &str) -> Option<Revision> {
    text.parse().ok().map(Revision)
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.collection, self.revision)?;
        match self.began {
            Some(began) => write!(f, "-{began}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_foreign_ones_are_none() {
        let collection = CollectionId::from_bytes([7; 16]);
        for began in [None, Some(Revision(3))] {
            let token = SyncToken { collection, revision: Revision(42), began };
            assert_eq!(SyncToken::parse(&token.to_string()), Some(token));
        }
        let good = SyncToken { collection, revision: Revision(1), began: None }.to_string();
        for bad in [
            "",
            "0",
            "https://cardkeep.invalid/ns/sync/",
            &format!("{good}x"),
            &good.replace("/1", "/01"),
            &format!("{good}-"),
        ] {
            assert_eq!(SyncToken::parse(bad), None, "{bad}");
        }
    }
}
