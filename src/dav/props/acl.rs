//! The properties of access control: principals, owners, privileges. RFC 3744 §4, §5.

use std::borrow::Cow;

use crate::domain::id::Principal;
use crate::service::access::{Privilege, Rights};
use crate::service::view::{PrincipalView, Sharer};

use super::super::target::{Href, Kind, Kinds};
use super::{Ask, Node, REAL, Row, Value};

/// Users' and groups' principals.
const PRINCIPALS: Kinds = Kinds::of(&[Kind::Principal, Kind::Group]);

pub(super) static ROWS: &[Row] = &[
    Row::protected("D:principal-URL", PRINCIPALS, principal_url),
    Row::protected("D:alternate-URI-set", PRINCIPALS, alternates),
    Row::protected("D:group-member-set", PRINCIPALS, members),
    Row::protected("D:group-membership", PRINCIPALS, membership),
    Row::protected("CAL:calendar-user-address-set", PRINCIPALS, user_addresses),
    Row::protected("D:principal-collection-set", Kinds::ALL, principals),
    Row::protected("D:owner", REAL, owner),
    Row::protected("D:supported-privilege-set", Kinds::ALL, supported),
    Row::protected("D:current-user-privilege-set", Kinds::ALL, current),
    Row::protected("D:acl", REAL, acl),
    Row::protected("D:acl-restrictions", REAL, restrictions),
    Row::protected("D:inherited-acl-set", REAL, empty),
    // No resource has an owning group (ACL-5).
    Row::reserved("D:group"),
];

/// What can be allowed, as far as what reading holds.
const SUPPORTED_READ: &str = "<D:supported-privilege><D:privilege><D:all/></D:privilege>\
<D:description xml:lang=\"en\">Any operation</D:description>\
<D:supported-privilege><D:privilege><D:read/></D:privilege>\
<D:description xml:lang=\"en\">Read</D:description>\
<D:supported-privilege><D:privilege><D:read-acl/></D:privilege>\
<D:description xml:lang=\"en\">Read the access control list</D:description></D:supported-privilege>\
<D:supported-privilege><D:privilege><D:read-current-user-privilege-set/></D:privilege>\
<D:description xml:lang=\"en\">Read one's own privileges</D:description></D:supported-privilege>";
/// The rest of what can be allowed.
const SUPPORTED_REST: &str = "\
</D:supported-privilege>\
<D:supported-privilege><D:privilege><D:write/></D:privilege>\
<D:description xml:lang=\"en\">Write</D:description>\
<D:supported-privilege><D:privilege><D:write-content/></D:privilege>\
<D:description xml:lang=\"en\">Change content</D:description></D:supported-privilege>\
<D:supported-privilege><D:privilege><D:write-properties/></D:privilege>\
<D:description xml:lang=\"en\">Change properties</D:description></D:supported-privilege>\
<D:supported-privilege><D:privilege><D:bind/></D:privilege>\
<D:description xml:lang=\"en\">Add members</D:description></D:supported-privilege>\
<D:supported-privilege><D:privilege><D:unbind/></D:privilege>\
<D:description xml:lang=\"en\">Remove members</D:description></D:supported-privilege>\
</D:supported-privilege>\
<D:supported-privilege><D:privilege><D:unlock/></D:privilege>\
<D:description xml:lang=\"en\">Remove others' locks</D:description></D:supported-privilege>\
<D:supported-privilege><D:privilege><D:write-acl/></D:privilege>\
<D:description xml:lang=\"en\">Change the access control list</D:description></D:supported-privilege>\
</D:supported-privilege>";

/// Of calendars, reading holds being told when somebody is busy (RFC 4791 §6.1.1; CAL-17).
const SUPPORTED_BUSY: &str = "<D:supported-privilege><D:privilege><CAL:read-free-busy/></D:privilege>\
<D:description xml:lang=\"en\">Read busy times</D:description></D:supported-privilege>";

/// What has busy times.
const BUSY: Kinds = Kinds::of(&[Kind::CalendarHome, Kind::Calendar, Kind::Event]);

/// The aggregates and their parts that make up everything.
const EVERYTHING: &str = "<D:privilege><D:all/></D:privilege>\
<D:privilege><D:read/></D:privilege>\
<D:privilege><D:read-acl/></D:privilege>\
<D:privilege><D:read-current-user-privilege-set/></D:privilege>\
<D:privilege><D:write/></D:privilege>\
<D:privilege><D:write-content/></D:privilege>\
<D:privilege><D:write-properties/></D:privilege>\
<D:privilege><D:bind/></D:privilege>\
<D:privilege><D:unbind/></D:privilege>\
<D:privilege><D:unlock/></D:privilege>\
<D:privilege><D:write-acl/></D:privilege>";

/// Reading, without the access control list, which only owners read.
const READING: &str = "<D:privilege><D:read/></D:privilege>\
<D:privilege><D:read-current-user-privilege-set/></D:privilege>";

/// Writing and its parts.
const WRITING: &str = "<D:privilege><D:write/></D:privilege>\
<D:privilege><D:write-content/></D:privilege>\
<D:privilege><D:write-properties/></D:privilege>\
<D:privilege><D:bind/></D:privilege>\
<D:privilege><D:unbind/></D:privilege>";

/// Writing a shared book that is reached by its owner's URL: what is written on it is the owner's.
const CHANGING: &str = "<D:privilege><D:write-content/></D:privilege>\
<D:privilege><D:bind/></D:privilege>\
<D:privilege><D:unbind/></D:privilege>";

/// Writing properties alone.
const DESCRIBING: &str = "<D:privilege><D:write-properties/></D:privilege>";

/// The privileges that rights amount to, as `current-user-privilege-set` lists them (ACL-7).
pub fn privileges(rights: Rights) -> Cow<'static, str> {
    let read = rights.allow(Privilege::Read);
    let write = rights.allow(Privilege::WriteContent);
    let describe = rights.allow(Privilege::WriteProperties);
    match (read, write, rights.owner) {
        (true, true, true) => Cow::Borrowed(EVERYTHING),
        // A sharee who may only read may still call the book something else for itself.
        (true, false, _) if describe => Cow::Owned(format!("{READING}{DESCRIBING}")),
        (true, false, _) => Cow::Borrowed(READING),
        (true, true, false) => {
            let parts = if describe { WRITING } else { CHANGING };
            Cow::Owned(format!("{READING}{parts}"))
        }
        (false, _, _) => Cow::Borrowed(""),
    }
}

fn empty<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Empty)
}

fn principal_url<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Href(node.href()))
}

fn alternates<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Principal(view) => Some(hrefs(mailto(view), Vec::new())),
        _ => None,
    }
}

/// By which addresses others know the principal (RFC 6638 §2.4.1): its mail addresses and its URL.
fn user_addresses<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    match node {
        Node::Principal(view) => Some(hrefs(mailto(view), vec![Href::principal(&view.name)])),
        _ => None,
    }
}

/// The users in a group, those that the caller may know of (ACL-3, ACL-23). Users have no members.
fn members<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    related(node, |view| matches!(view.name, Principal::Group(_)))
}

/// The groups that a user is in. Those of groups are flattened into it.
fn membership<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    related(node, |view| matches!(view.name, Principal::User(_)))
}

fn related<'a>(node: &Node<'a>, told: fn(&PrincipalView) -> bool) -> Option<Value<'a>> {
    let Node::Principal(view) = node else {
        return None;
    };
    let others = view.related.iter().filter(|_| told(view));
    Some(hrefs(Vec::new(), others.map(Href::principal).collect()))
}

/// The addresses as URIs (RFC 6068).
pub fn mailto(view: &PrincipalView) -> Vec<String> {
    view.addresses.iter().map(|address| format!("mailto:{address}")).collect()
}

fn hrefs(others: Vec<String>, own: Vec<Href<'_>>) -> Value<'_> {
    match others.is_empty() && own.is_empty() {
        true => Value::Empty,
        false => Value::Hrefs(others, own),
    }
}

fn principals<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    Some(Value::Href(Href::Principals))
}

fn owner<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let href = match node {
        Node::Principal(view) => Href::principal(&view.name),
        Node::Home(view) | Node::Collection(view) | Node::Object(view, _) => match &view.sharer {
            Sharer::Own => Href::Principal(&view.home.user),
            Sharer::Known(name) => Href::principal(name),
            // Who is not told of (ACL-4).
            Sharer::Unknown => return None,
        },
        _ => return None,
    };
    Some(Value::Href(href))
}

fn supported<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let busy = if BUSY.hold(node.kind()) { SUPPORTED_BUSY } else { "" };
    Some(Value::Markup(Cow::Owned([SUPPORTED_READ, busy, SUPPORTED_REST].concat())))
}

fn current<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let mut markup = privileges(node.rights());
    if BUSY.hold(node.kind()) && !markup.is_empty() {
        markup.to_mut().push_str("<D:privilege><CAL:read-free-busy/></D:privilege>");
    }
    Some(Value::Markup(markup))
}

/// The owner's entry, which nobody can take away (ACL-9).
fn acl<'a>(node: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    const OWNERS: &str = "<D:ace><D:principal><D:property><D:owner/></D:property></D:principal>\
        <D:grant><D:privilege><D:all/></D:privilege></D:grant><D:protected/></D:ace>";
    node.rights().owner.then_some(Value::Markup(Cow::Borrowed(OWNERS)))
}

fn restrictions<'a>(_: &Node<'a>, _: &Ask<'a>) -> Option<Value<'a>> {
    let markup = "<D:grant-only/><D:no-invert/>";
    Some(Value::Markup(Cow::Borrowed(markup)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_what_rights_allow() {
        for (read, write, owner) in [(true, true, true), (true, false, true), (true, true, false)] {
            let shown = privileges(Rights { read, write, describe: write, owner });
            assert_eq!(shown.contains("<D:read/>"), read);
            for part in ["write", "write-content", "write-properties", "bind", "unbind"] {
                assert_eq!(shown.contains(&format!("<D:{part}/>")), write, "{part}");
            }
            assert_eq!(shown.contains("<D:all/>"), read && write && owner);
        }
        let sharee = Rights { read: true, write: false, describe: true, owner: false };
        let shown = privileges(sharee);
        assert!(shown.contains("<D:write-properties/>") && !shown.contains("<D:write-content/>"));
        let shown = privileges(Rights { write: true, describe: false, ..sharee });
        assert!(shown.contains("<D:bind/>") && !shown.contains("<D:write-properties/>"));
    }
}
