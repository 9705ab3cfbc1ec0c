//! What is remembered of the directory from one reading to the next, sealed as what people write on
//! a home is: of each group its members as they were read, and of the directory where the next
//! reading goes on. The homes are those of groups, in which nobody writes.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::id::CollectionId;
use crate::service::own::HOME;
use crate::service::{Answer, Service};
use crate::store::commit::{Described, Op, PropertiesOp};
use crate::store::query::Reader;
use crate::store::rows::{AccountRow, Id, StoredProperty};
use crate::store::{Store, StoreError};

use super::Member;

/// The namespace that no client's property is in, since clients do not reach those homes.
const NAMESPACE: &str = "urn:cardkeep:directory";
const MEMBERS: &str = "members";
const NEXT: &str = "next";

/// Where the next reading goes on, whether the staff's book was kept at the last one, and when, in
/// microseconds since 1970, everything was read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) next: Vec<u8>,
    pub(super) book: bool,
    pub(super) whole: i64,
}

fn property(local: &str, text: String) -> StoredProperty {
    let namespace = NAMESPACE.to_owned();
    StoredProperty { namespace, local: local.to_owned(), text: Some(text), lang: None, xml: None }
}

fn text<'a>(properties: &'a [StoredProperty], local: &str) -> Option<&'a str> {
    let is = |property: &&StoredProperty| property.namespace == NAMESPACE && property.local == local;
    properties.iter().find(is)?.text.as_deref()
}

/// The members as a list of `[kind, text]` pairs.
fn written(members: &[Member]) -> String {
    let pair = |member: &Member| match member {
        Member::Dn(dn) => ("dn", dn.clone()),
        Member::UserName(name) => ("name", name.clone()),
    };
    let pairs: Vec<_> = members.iter().map(pair).collect();
    serde_json::to_string(&pairs).unwrap_or_default()
}

fn read(text: &str) -> Vec<Member> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    let member = |(kind, text): (String, String)| match kind.as_str() {
        "name" => Member::UserName(text),
        _ => Member::Dn(text),
    };
    pairs.into_iter().map(member).collect()
}

/// What has the next reading begin with everything, in a store that was restored: what is not in it
/// any more would not be told again as a change. Nothing, where no reading went before.
pub async fn begin_anew(store: &Store) -> Result<Option<Op>, StoreError> {
    let home = HOME;
    let before = store.read().await?.properties(&home).await?;
    if text(&before, NEXT).is_none() {
        return Ok(None);
    }
    let mut properties = before.clone();
    properties.retain(|property| property.namespace != NAMESPACE || property.local != NEXT);
    let of = Described::Home(CollectionId::from_bytes(home));
    Ok(Some(Op::Properties(PropertiesOp { of, properties, before })))
}

impl Service {
    /// The members of the directory's groups as they were last read, by the groups' accounts.
    pub(super) async fn kept_members(
        &self,
        reader: &Reader,
        accounts: &[AccountRow],
    ) -> Answer<HashMap<Id, Vec<Member>>> {
        let groups: Vec<_> = accounts.iter().filter(|row| row.group && row.origin.is_some()).collect();
        let homes: Vec<_> = groups.iter().map(|group| group.home).collect();
        let kept = reader.properties_of(&homes).await?;
        let members = |(group, kept): (&&AccountRow, Vec<StoredProperty>)| {
            Some((Id(group.id), read(text(&kept, MEMBERS)?)))
        };
        Ok(groups.iter().zip(kept).filter_map(members).collect())
    }

    /// What remembers a group's members.
    pub(super) async fn keep_members(
        &self,
        reader: &Reader,
        home: [u8; 16],
        members: &[Member],
    ) -> Answer<Op> {
        let kept = (!members.is_empty()).then(|| property(MEMBERS, written(members)));
        self.keep(reader, home, kept).await
    }

    async fn keep(&self, reader: &Reader, home: [u8; 16], kept: Option<StoredProperty>) -> Answer<Op> {
        let before = reader.properties(&home).await?;
        let of = Described::Home(CollectionId::from_bytes(home));
        Ok(Op::Properties(PropertiesOp { of, properties: kept.into_iter().collect(), before }))
    }

    /// Where the next reading goes on.
    pub(super) async fn cookie(&self, home: [u8; 16]) -> Answer<Option<Cookie>> {
        let kept = self.store.read().await?.properties(&home).await?;
        Ok(text(&kept, NEXT).and_then(|text| {
            let mut words = text.split(' ');
            let (book, whole, next) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
            Some(Cookie { next: STANDARD.decode(next).ok()?, book: book == "book", whole })
        }))
    }

    /// Remembers where the next reading goes on, or that it begins anew.
    pub(super) async fn keep_cookie(&self, home: [u8; 16], cookie: Option<&Cookie>) -> Answer<()> {
        if self.cookie(home).await?.as_ref() == cookie {
            return Ok(());
        }
        let text = |cookie: &Cookie| {
            let book = if cookie.book { "book" } else { "none" };
            format!("{book} {} {}", cookie.whole, STANDARD.encode(&cookie.next))
        };
        let kept = cookie.map(|cookie| property(NEXT, text(cookie)));
        let op = self.keep(&self.store.read().await?, home, kept).await?;
        self.commit(None, Vec::new(), vec![op]).await.map(drop)
    }
}
