//! Live properties: one static table says each one's name, where it exists, whether `allprop`
//! brings it, where clients may write it, and how it is got from values that were read before. A
//! getter is a pure function, so no storage call can hide in it. RFC 4918 §15.

mod acl;
mod cal;
mod calendar_data;
mod card;
mod core;
mod cs;
mod value;

use crate::domain::ical;
use crate::domain::id::{CollectionKind, Principal};
use crate::domain::vcard::Limits;
use crate::service::access::{Caller, Rights};
use crate::service::conversions::Conversions;
use crate::service::view::{CollectionView, ObjectView, PrincipalView, Property, PropertyName};

use super::Front;
use super::target::{Door, Href, Kind, Kinds};
use super::xml::name::{CAL, CARD, CS, DAV};

pub use self::acl::{mailto, privileges};
pub use self::cal::user_type;
pub use self::calendar_data::{BadCalendarData, CalendarForm, Timezones};
pub use self::card::{AddressDataForm, BadAddressData, card_text, is_thunderbird};
pub use self::core::content_type_of;
pub use self::value::{Shown, Value};

/// Resources that belong to somebody and have an identity of their own.
pub const REAL: Kinds = Kinds::of(&[
    Kind::Principal,
    Kind::Group,
    Kind::Home,
    Kind::Book,
    Kind::Card,
    Kind::CalendarHome,
    Kind::Calendar,
    Kind::Event,
]);

/// A resource, read, whose properties are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// The root.
    Root(Door),
    /// The collection of collections of principals.
    Principals,
    /// The collection of users' principals.
    PrincipalUsers,
    /// The collection of groups' principals.
    PrincipalGroups,
    /// A user's or a group's principal.
    Principal(&'a PrincipalView),
    /// The collection of homes of that kind.
    Homes(CollectionKind),
    /// A home.
    Home(&'a CollectionView),
    /// A book or a calendar.
    Collection(&'a CollectionView),
    /// A card or a calendar object, and what it is in.
    Object(&'a CollectionView, &'a ObjectView),
}

impl<'a> Node<'a> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Root(_) => Kind::Root,
            Self::Principals | Self::PrincipalUsers | Self::PrincipalGroups => Kind::Principals,
            Self::Principal(PrincipalView { name: Principal::User(_), .. }) => Kind::Principal,
            Self::Principal(_) => Kind::Group,
            Self::Homes(kind) => Kind::homes(*kind),
            Self::Home(view) => Kind::home(view.kind()),
            Self::Collection(view) => Kind::collection(view.kind()),
            Self::Object(view, _) => Kind::object(view.kind()),
        }
    }

    /// Where it is.
    pub fn href(&self) -> Href<'a> {
        let book = |view: &'a CollectionView| match &view.name {
            Some(name) => Href::collection(&view.home, name),
            None => Href::home(&view.home),
        };
        match *self {
            Self::Root(door) => Href::Root(door),
            Self::Principals => Href::Principals,
            Self::PrincipalUsers => Href::PrincipalUsers,
            Self::PrincipalGroups => Href::PrincipalGroups,
            Self::Principal(view) => Href::principal(&view.name),
            Self::Homes(kind) => Href::Homes(kind),
            Self::Home(view) | Self::Collection(view) => book(view),
            Self::Object(view, card) => match book(view) {
                Href::Collection(kind, owner, name) => Href::Object(kind, owner, name, &card.name),
                other => other,
            },
        }
    }

    /// Properties that clients wrote on it.
    pub fn stored(&self) -> &'a [Property] {
        match self {
            Self::Principal(view) => &view.properties,
            Self::Home(view) | Self::Collection(view) => &view.properties,
            Self::Object(_, card) => &card.properties,
            _ => &[],
        }
    }

    /// Whether what clients wrote on it cannot be read.
    pub fn unreadable(&self) -> bool {
        match self {
            Self::Principal(view) => view.unreadable,
            Self::Home(view) | Self::Collection(view) => view.unreadable,
            Self::Object(_, card) => card.unreadable,
            _ => false,
        }
    }

    /// The home or book itself.
    pub fn collection(&self) -> Option<&'a CollectionView> {
        match self {
            Self::Home(view) | Self::Collection(view) => Some(view),
            _ => None,
        }
    }

    /// What the asker may do with it.
    pub fn rights(&self) -> Rights {
        match self {
            Self::Principal(view) => view.rights,
            Self::Home(view) | Self::Collection(view) => view.rights,
            Self::Object(book, _) => book.rights.on_members(),
            _ => Rights { read: true, ..Rights::NONE },
        }
    }

    /// The property of that name that a client wrote on it.
    fn written(&self, namespace: &str, local: &str) -> Option<&'a Property> {
        self.stored().iter().find(|p| p.name.local == local && p.name.namespace == namespace)
    }
}

/// Who asks, and what the server is set to.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// How large cards may be.
    pub limits: Limits,
    /// How large and involved calendar objects may be.
    pub calendar: ical::Limits,
    /// What hrefs begin with.
    pub front: &'a Front,
    /// Cards in the version that they are not stored in.
    pub conversions: &'a Conversions,
}

/// How a property is got.
pub type Getter = for<'a> fn(&Node<'a>, &Ask<'a>) -> Option<Value<'a>>;

/// One live property.
pub struct Row {
    /// Its name as answers write it, with the constant prefix of its namespace.
    pub tag: &'static str,
    /// Where it exists.
    pub kinds: Kinds,
    /// Whether `allprop` brings it (DAV-15).
    pub allprop: bool,
    /// Where clients may write it; nowhere means protected everywhere (DAV-21).
    pub writable: Kinds,
    /// How it is got.
    pub get: Getter,
}

impl Row {
    const fn protected(tag: &'static str, kinds: Kinds, get: Getter) -> Self {
        Self { tag, kinds, allprop: false, writable: Kinds::NONE, get }
    }

    const fn in_allprop(mut self) -> Self {
        self.allprop = true;
        self
    }

    const fn writable(mut self, kinds: Kinds) -> Self {
        self.writable = kinds;
        self
    }

    /// A name that belongs to the server although it has no value here: 404 when asked for, and
    /// nobody can write it.
    const fn reserved(tag: &'static str) -> Self {
        Self::protected(tag, Kinds::NONE, |_, _| None)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &'static str {
        match self.tag.split_once(':') {
            Some(("D", _)) => DAV,
            Some(("C", _)) => CARD,
            Some(("CS", _)) => CS,
            Some(("CAL", _)) => CAL,
            _ => "",
        }
    }

    /// Its local name.
    pub fn local(&self) -> &'static str {
        self.tag.split_once(':').map_or(self.tag, |(_, local)| local)
    }

    /// Whether clients must not write it on resources of that kind.
    pub fn is_protected(&self, kind: Kind) -> bool {
        self.writable == Kinds::NONE || (self.kinds.hold(kind) && !self.writable.hold(kind))
    }

    /// Whether its value on resources of that kind would be what a client wrote.
    pub fn is_written_on(&self, kind: Kind) -> bool {
        self.writable != Kinds::NONE && (self.writable.hold(kind) || !self.kinds.hold(kind))
    }

    /// Its value on that resource. Where it is an ordinary property, it is what a client wrote.
    pub fn value<'a>(&self, node: &Node<'a>, ask: &Ask<'a>) -> Option<Value<'a>> {
        match self.kinds.hold(node.kind()) {
            true => (self.get)(node, ask),
            false if self.writable == Kinds::NONE => None,
            false => node.written(self.namespace(), self.local()).map(Value::Stored),
        }
    }
}

/// Every live property, a table for each specification.
pub static PROPS: [&[Row]; 5] = [core::ROWS, acl::ROWS, card::ROWS, cal::ROWS, cs::ROWS];

/// Every live property.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    PROPS.into_iter().flatten()
}

/// The live property of that name.
pub fn row(name: &PropertyName) -> Option<&'static Row> {
    rows().find(|row| row.local() == name.local && row.namespace() == name.namespace)
}

/// The current sync token of a home, a book or a calendar.
fn token_of<'a>(view: &'a CollectionView) -> Value<'a> {
    match &view.births {
        Some(births) => Value::Text(births.to_string().into()),
        None => Value::Token(view.token()),
    }
}

/// The value of a property that clients write and that has no other.
fn written<'a>(node: &Node<'a>, namespace: &str, local: &str) -> Option<Value<'a>> {
    node.written(namespace, local).map(Value::Stored)
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::dav::xml::read::parse;
    use crate::dav::xml::write::Writer;
    use crate::domain::format::Format;
    use crate::domain::id::{
        AccountId, CollectionId, ContactId, Etag, HomeName, MemberName, Revision, Uid, UserName,
    };
    use crate::domain::permission::Permissions;
    use crate::domain::vcard::Version;
    use crate::service::access::Reach;
    use crate::service::view::Sharer;

    pub(in crate::dav) fn caller() -> Caller {
        Caller {
            account: AccountId::from_bytes([1; 16]),
            name: UserName::parse("alice").unwrap(),
            home: CollectionId::from_bytes([2; 16]),
            calendar_home: Some(CollectionId::from_bytes([4; 16])),
            contacts: Reach::Write,
            calendars: Reach::Write,
            groups: [].into(),
            permissions: Permissions::NONE,
            scopes: Permissions::ALL,
            private: true,
            client: "",
        }
    }

    pub(in crate::dav) fn front() -> Front {
        Front { prefix: String::new(), host: None, scheme: "http" }
    }

    pub(in crate::dav) fn ask<'a>(
        caller: &'a Caller,
        front: &'a Front,
        conversions: &'a Conversions,
    ) -> Ask<'a> {
        let (limits, calendar) = (Limits::default(), ical::Limits::default());
        Ask { caller, limits, calendar, front, conversions }
    }

    const OWN: Rights = Rights { read: true, write: true, describe: true, owner: true };

    pub(in crate::dav) fn principal() -> PrincipalView {
        PrincipalView {
            gateway: None,
            account: AccountId::from_bytes([1; 16]),
            name: Principal::User(UserName::parse("alice").unwrap()),
            display_name: "Alice <A>".into(),
            addresses: vec!["alice@example.org".into()],
            related: vec![],
            created: Timestamp::from_second(1_000_000).unwrap(),
            rights: OWN,
            properties: vec![],
            unreadable: false,
        }
    }

    pub(in crate::dav) fn collection(name: Option<&str>) -> CollectionView {
        CollectionView {
            search_only: false,
            log: CollectionId::from_bytes([0; 16]),
            floor: Revision(0),
            id: CollectionId::from_bytes([2; 16]),
            home: HomeName::books(UserName::parse("alice").unwrap()),
            components: crate::domain::ical::Components::NONE,
            name: name.map(|name| MemberName::parse(name).unwrap()),
            created: Timestamp::from_second(1_000_000).unwrap(),
            revision: Revision(7),
            rights: OWN,
            sharer: Sharer::Own,
            shared: false,
            properties: vec![],
            unreadable: false,
            digest: None,
            births: None,
        }
    }

    pub(in crate::dav) fn card() -> ObjectView {
        ObjectView {
            contact: ContactId::from_bytes([3; 16]),
            name: MemberName::parse("jane doe.vcf").unwrap(),
            uid: Uid::new("u").unwrap(),
            etag: Etag([0xab; 16]),
            size: 42,
            format: Format::Card(Version::V3),
            created: Timestamp::from_second(1_000_000).unwrap(),
            modified: Timestamp::from_second(1_000_001).unwrap(),
            properties: vec![],
            unreadable: false,
            body: Some(bytes::Bytes::from_static(b"BEGIN:VCARD\r\nFN:<J>\r\nEND:VCARD\r\n")),
        }
    }

    #[test]
    fn names_are_unique_and_have_constant_prefixes() {
        let mut seen = std::collections::HashSet::new();
        for row in rows() {
            assert!(seen.insert(row.tag), "{}", row.tag);
            assert_ne!(row.namespace(), "", "{}", row.tag);
        }
    }

    /// What clients cannot do without on each kind (DAV-44, CUP-1, ACL, CARD, SYNC, BIND-2).
    #[test]
    fn what_clients_need_is_there_and_well_formed() {
        let (caller, front) = (caller(), front());
        let conversions = Conversions::new(0);
        let ask = ask(&caller, &front, &conversions);
        let (principal, home, book, card) =
            (principal(), collection(None), collection(Some("contacts")), card());
        let name = Principal::Group(crate::domain::id::GroupName::parse("a & b").unwrap());
        let group = PrincipalView { name, ..principal.clone() };
        let everywhere = "D:resourcetype D:current-user-principal D:principal-collection-set \
            D:current-user-privilege-set D:supported-privilege-set D:supported-report-set";
        let collections = "D:displayname D:owner D:acl D:acl-restrictions D:inherited-acl-set \
            D:creationdate D:resource-id D:sync-token CS:getctag";
        let cases = [
            (Node::Root(Door::Slash), "D:displayname"),
            (Node::Principals, "D:displayname"),
            (Node::Homes(CollectionKind::AddressBook), "D:displayname"),
            (
                Node::Principal(&principal),
                "D:displayname D:principal-URL D:alternate-URI-set D:group-member-set \
                 D:group-membership C:addressbook-home-set CS:email-address-set D:resource-id \
                 CAL:calendar-user-address-set",
            ),
            (
                Node::Principal(&group),
                "D:displayname D:principal-URL D:group-member-set CAL:calendar-user-address-set",
            ),
            (Node::Home(&home), collections),
            (Node::Collection(&book), collections),
            (
                Node::Collection(&book),
                "C:supported-address-data C:supported-collation-set C:max-resource-size",
            ),
            (
                Node::Object(&book, &card),
                "D:getetag D:getcontenttype D:getcontentlength D:getlastmodified D:creationdate \
                 D:owner D:resource-id",
            ),
        ];
        for (node, names) in cases {
            for tag in everywhere.split_whitespace().chain(names.split_whitespace()) {
                let row = rows().find(|row| row.tag == tag).expect(tag);
                let value = row.value(&node, &ask);
                let value = value.unwrap_or_else(|| panic!("{tag} on {:?}", node.kind()));
                let mut out = Writer::document("D:prop", 0);
                value.write(&Shown::Constant(row.tag), &ask, &mut out);
                out.raw("</D:prop>");
                let written = parse(&out.take()).unwrap();
                assert_eq!(written.elements().count(), 1, "{tag}");
            }
        }
        let etag = rows().find(|row| row.tag == "D:getetag").unwrap();
        assert!(etag.value(&Node::Collection(&book), &ask).is_none(), "D14");
    }

    #[test]
    fn only_what_clients_may_write_is_not_protected() {
        let name =
            |namespace: &str, local: &str| PropertyName { namespace: namespace.into(), local: local.into() };
        let protected = |n: &PropertyName, kind| row(n).is_some_and(|row| row.is_protected(kind));
        let display = name(DAV, "displayname");
        assert!(!protected(&display, Kind::Book) && !protected(&display, Kind::Card));
        assert!(protected(&display, Kind::Principal));
        assert!(protected(&name(DAV, "getetag"), Kind::Book));
        assert!(protected(&name(CARD, "address-data"), Kind::Card));
        assert!(!protected(&name(CS, "me-card"), Kind::Home));
        assert!(!protected(&name("http://apple.com/ns/ical/", "calendar-color"), Kind::Book));
    }
}
