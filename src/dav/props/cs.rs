//! calendarserver.org's properties that address-book clients ask for. caldav-ctag, and what Apple's
//! clients write.

use std::borrow::Cow;

use super::super::target::{Kind, Kinds};
use super::super::xml::name::CS;
use super::super::xml::write::Writer;
use super::{Ask, Node, Row, Value, written};

pub(super) static ROWS: &[Row] = &[
    Row::protected(
        "CS:getctag",
        Kinds::of(&[Kind::Home, Kind::Book, Kind::CalendarHome, Kind::Calendar]),
        ctag,
    ),
    Row::protected("CS:email-address-set", Kinds::of(&[Kind::Principal, Kind::Group]), addresses),
    Row::protected("CS:me-card", Kinds::of(&[Kind::Home]), me_card).writable(Kinds::of(&[Kind::Home])),
];

/// Of a book, changes exactly when the sync token does (SYNC-25, CS-1). A home's tells of changes in
/// its books too, which the home's own log does not.
fn ctag<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let view = node.collection()?;
    Some(match view.digest {
        Some(digest) => {
            let digest = u128::from_be_bytes(digest);
            Value::Markup(Cow::Owned(format!("https://cardkeep.invalid/ns/ctag/{}/{digest:032x}", view.id)))
        }
        None => super::token_of(view),
    })
}

fn addresses<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let Node::Principal(view) = node else {
        return None;
    };
    if view.addresses.is_empty() {
        return Some(Value::Empty);
    }
    let mut out = Writer::default();
    for address in &view.addresses {
        out.raw("<CS:email-address>");
        out.text(address);
        out.raw("</CS:email-address>");
    }
    let markup = String::from_utf8_lossy(&out.take()).into_owned();
    Some(Value::Markup(Cow::Owned(markup)))
}

/// Any href that a client wrote: old Macs crash when writing it fails (CS-3).
fn me_card<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    written(node, CS, "me-card")
}
