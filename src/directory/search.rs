//! A search: its entries one by one, and what the controls of its answers say (RFC 2696, RFC 4533).

use ldap3::asn1::{PL, StructureTag};
use ldap3::controls::{Control, RawControl};
use ldap3::{Scope, SearchStream};

use crate::service::directory::DirectoryError;

use super::connect::Connection;
use super::entry::Entry;
use super::wire::{element, elements, expect, number};

const PAGED: &str = "1.2.840.113556.1.4.319";
const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";

/// A search on its way.
pub struct Search<'c> {
    connection: &'c mut Connection,
    stream: SearchStream<'static, String, Vec<String>>,
}

/// One of the things that a search finds.
pub enum Found {
    /// An entry, and its state where a synchronisation asked.
    Entry(Entry, Option<State>),
    /// A pointer to another directory.
    Reference,
    /// A word of a synchronisation.
    Info(Info),
}

/// What a synchronisation says of an entry (RFC 4533 §2.2).
pub struct State {
    /// What it is.
    pub is: Is,
    /// Its entryUUID.
    pub uuid: Vec<u8>,
    /// Where to go on, if this is the last that is read.
    pub cookie: Option<Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// There, and as it was.
    Present,
    /// There, new or changed.
    Changed,
    /// Not there any more.
    Gone,
}

/// A word of a synchronisation (RFC 4533 §2.5).
#[derive(Debug, PartialEq, Eq)]
pub enum Info {
    /// Where to go on.
    Cookie(Vec<u8>),
    /// What was to be said of deletions was said.
    Deletes(Option<Vec<u8>>),
    /// What was not named until now is gone.
    Presents(Option<Vec<u8>>),
    /// Entries that are there, or gone.
    Set {
        /// Where to go on.
        cookie: Option<Vec<u8>>,
        /// They are gone.
        gone: bool,
        /// Their entryUUIDs.
        uuids: Vec<Vec<u8>>,
    },
}

/// How a search ended.
pub struct Done {
    /// Its result code.
    pub code: u32,
    /// Where the next page begins; empty after the last.
    pub page: Option<Vec<u8>>,
    /// How the synchronisation ended: the cookie, and whether deletions were told one by one.
    pub sync: Option<(Option<Vec<u8>>, bool)>,
}

impl<'c> Search<'c> {
    /// Begins a search.
    pub async fn begin(
        connection: &'c mut Connection,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: Vec<String>,
        controls: Vec<RawControl>,
    ) -> Result<Self, DirectoryError> {
        let timeout = connection.timeout;
        let begun = connection
            .ldap
            .with_timeout(timeout)
            .with_controls(controls)
            .streaming_search(base, scope, filter, attributes)
            .await;
        match begun {
            Ok(stream) => Ok(Self { connection, stream }),
            Err(error) => Err(connection.broken(&error)),
        }
    }

    /// The next that it finds; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Found>, DirectoryError> {
        let found = match self.stream.next().await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.connection.broken(&error)),
        };
        self.connection.taken();
        let (is_reference, is_info) = (found.is_ref(), found.is_intermediate());
        let (tag, controls) = (found.0, found.1);
        if is_reference {
            return Ok(Some(Found::Reference));
        }
        if is_info {
            let info = info(&tag).ok_or_else(|| malformed("a synchronisation's word"))?;
            return Ok(Some(Found::Info(info)));
        }
        let state = match value(&controls, SYNC_STATE) {
            Some(value) => Some(state(value).ok_or_else(|| malformed("an entry's state"))?),
            None => None,
        };
        let entry = Entry::read(tag).ok_or_else(|| malformed("an entry"))?;
        Ok(Some(Found::Entry(entry, state)))
    }

    /// How it ended, after its end.
    pub async fn done(mut self) -> Result<Done, DirectoryError> {
        let result = self.stream.finish().await;
        let page = match value(&result.ctrls, PAGED) {
            Some(value) => Some(page(value).ok_or_else(|| malformed("a page's end"))?),
            None => None,
        };
        let sync = match value(&result.ctrls, SYNC_DONE) {
            Some(value) => Some(sync_done(value).ok_or_else(|| malformed("a synchronisation's end"))?),
            None => None,
        };
        Ok(Done { code: result.rc, page, sync })
    }
}

fn malformed(what: &str) -> DirectoryError {
    DirectoryError::Malformed(format!("{what} of a shape that the standards do not have"))
}

fn value<'a>(controls: &'a [Control], kind: &str) -> Option<&'a [u8]> {
    controls.iter().find(|control| control.1.ctype == kind).and_then(|control| control.1.val.as_deref())
}

/// RFC 2696 §2.
fn page(value: &[u8]) -> Option<Vec<u8>> {
    let (_, content, _) = expect(value, 0x30)?;
    match elements(content)?.as_slice() {
        [(0x02, _), (0x04, cookie)] => Some(cookie.to_vec()),
        _ => None,
    }
}

/// RFC 4533 §2.3.
fn state(value: &[u8]) -> Option<State> {
    let (_, content, _) = expect(value, 0x30)?;
    let (is, uuid, cookie) = match elements(content)?.as_slice() {
        [(0x0a, is), (0x04, uuid)] => (number(is)?, *uuid, None),
        [(0x0a, is), (0x04, uuid), (0x04, cookie)] => (number(is)?, *uuid, Some(cookie.to_vec())),
        _ => return None,
    };
    let is = match is {
        0 => Is::Present,
        1 | 2 => Is::Changed,
        3 => Is::Gone,
        _ => return None,
    };
    (uuid.len() == 16).then(|| State { is, uuid: uuid.to_vec(), cookie })
}

/// RFC 4533 §2.4.
fn sync_done(value: &[u8]) -> Option<(Option<Vec<u8>>, bool)> {
    let (_, content, _) = expect(value, 0x30)?;
    let (cookie, flag, set) = parts(content)?;
    set.is_none().then_some((cookie, flag.unwrap_or(false)))
}

/// RFC 4533 §2.5; in a message of RFC 4511 §4.13.
fn info(tag: &StructureTag) -> Option<Info> {
    let PL::C(fields) = &tag.payload else {
        return None;
    };
    let field = |id: u64| {
        fields.iter().find(|field| field.id == id).and_then(|field| match &field.payload {
            PL::P(octets) => Some(octets.as_slice()),
            PL::C(_) => None,
        })
    };
    if field(0)? != SYNC_INFO.as_bytes() {
        return None;
    }
    let (kind, content, _) = element(field(1)?)?;
    match kind {
        0x80 => Some(Info::Cookie(content.to_vec())),
        0xa1 => Some(Info::Deletes(parts(content)?.0)),
        0xa2 => Some(Info::Presents(parts(content)?.0)),
        0xa3 => {
            let (cookie, gone, set) = parts(content)?;
            let uuids: Option<Vec<_>> = elements(set?)?
                .into_iter()
                .map(|(tag, uuid)| (tag == 0x04 && uuid.len() == 16).then(|| uuid.to_vec()))
                .collect();
            Some(Info::Set { cookie, gone: gone.unwrap_or(false), uuids: uuids? })
        }
        _ => None,
    }
}

/// A cookie, a flag, a set.
type Parts<'a> = (Option<Vec<u8>>, Option<bool>, Option<&'a [u8]>);

/// A cookie, a flag and a set, each of which may be missing, in this order.
fn parts(content: &[u8]) -> Option<Parts<'_>> {
    let mut found: Parts = (None, None, None);
    let mut step = 0;
    for (tag, content) in elements(content)? {
        match (tag, content) {
            (0x04, cookie) if step < 1 => (step, found.0) = (1, Some(cookie.to_vec())),
            (0x01, [flag]) if step < 2 => (step, found.1) = (2, Some(*flag != 0)),
            (0x31, set) if step < 3 => (step, found.2) = (3, Some(set)),
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use ldap3::asn1::TagClass;
    use proptest::prelude::*;

    use super::*;

    fn message(content: &[u8]) -> StructureTag {
        let field = |id, octets: &[u8]| StructureTag {
            class: TagClass::Context,
            id,
            payload: PL::P(octets.to_vec()),
        };
        let fields = vec![field(0, SYNC_INFO.as_bytes()), field(1, content)];
        StructureTag { class: TagClass::Application, id: 25, payload: PL::C(fields) }
    }

    #[test]
    fn controls_are_read() {
        assert_eq!(page(b"\x30\x06\x02\x01\x00\x04\x01x"), Some(b"x".to_vec()));
        assert_eq!(page(b"\x30\x05\x02\x01\x00\x04\x00"), Some(vec![]));
        let one = state(b"\x30\x15\x0a\x01\x01\x04\x100123456789abcdef").unwrap();
        assert_eq!((one.is, one.uuid.as_slice()), (Is::Changed, &b"0123456789abcdef"[..]));
        assert_eq!(sync_done(b"\x30\x06\x04\x01c\x01\x01\xff"), Some((Some(b"c".to_vec()), true)));
        assert_eq!(sync_done(b"\x30\x00"), Some((None, false)));
        let set = b"\xa3\x17\x01\x01\xff\x31\x12\x04\x100123456789abcdef";
        let uuids = vec![b"0123456789abcdef".to_vec()];
        assert_eq!(info(&message(set)), Some(Info::Set { cookie: None, gone: true, uuids }));
        assert_eq!(info(&message(b"\x80\x01c")), Some(Info::Cookie(b"c".to_vec())));
        assert_eq!(info(&message(b"\xa2\x00")), Some(Info::Presents(None)));
    }

    #[test]
    fn other_shapes_are_none() {
        for bad in [&b""[..], b"\x30", b"\x30\x03\x0a\x01\x09", b"\x30\x05\x0a\x01\x01\x04\x00", b"\x31\x00"]
        {
            assert!(state(bad).is_none() && page(bad).is_none());
        }
        assert!(sync_done(b"\x30\x06\x01\x01\xff\x04\x01c").is_none());
        assert!(info(&message(b"\xa3\x00")).is_none() && info(&message(b"\xa4\x00")).is_none());
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (page(&bytes), state(&bytes), sync_done(&bytes), info(&message(&bytes)));
        }
    }
}
