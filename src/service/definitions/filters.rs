//! Saved filters: one's own, and those that others share.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::id::AccountId;
use crate::domain::permission::Permission;
use crate::domain::scim::{Filter, Query};
use crate::service::access::Caller;
use crate::service::admin::conflict;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::query::Reader;
use crate::store::rows::{self, Definition, FilterRow, Id};

use super::{LaidDown, id_from, wrong};

crate::hidden!(FilterView, FilterFields, Saved);

/// How many filters one user may have.
const MOST: usize = 500;

/// The longest name, and the longest words to look for, in octets.
const LONGEST_NAME: usize = 200;
const LONGEST_Q: usize = 1000;

/// A saved filter as it is laid down.
#[derive(Clone, PartialEq, Eq)]
pub struct FilterView {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: AccountId,
    /// What may be changed of it.
    pub fields: FilterFields,
    /// When it was saved.
    pub created: Timestamp,
    row: FilterRow,
}

/// What may be changed of a saved filter.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FilterFields {
    /// Its name.
    pub name: String,
    /// The filter; empty where `q` alone finds contacts.
    pub filter: String,
    /// What is looked for in all texts.
    pub q: String,
    /// Everybody may use it.
    pub shared: bool,
}

/// A saved filter with its owner's name.
#[derive(Clone, PartialEq, Eq)]
pub struct Saved {
    /// The filter.
    pub filter: FilterView,
    /// The user's name whose it is.
    pub owner: Option<String>,
}

impl FilterView {
    pub(super) fn of(id: Id, row: FilterRow) -> Self {
        let FilterRow { name, filter, q, shared, .. } = row.clone();
        let fields = FilterFields { name, filter, q, shared };
        let created = rows::time(row.created);
        Self { id: Uuid::from_bytes(id.0), owner: row.owner, fields, created, row }
    }

    /// Whether a smart book serves it.
    pub fn serves_a_book(&self) -> bool {
        self.row.book.is_some()
    }

    fn seen_by(&self, caller: &Caller) -> bool {
        self.fields.shared || self.owner == caller.account
    }
}

impl Service {
    /// The filters that the caller may use.
    pub async fn filters(&self, caller: &Caller) -> Answer<Vec<Saved>> {
        let laid = self.laid_down().await?;
        let reader = self.store.read().await?;
        let mut saved = Vec::new();
        for filter in laid.filters.iter().filter(|filter| filter.seen_by(caller)) {
            saved.push(self.saved(&reader, filter.clone()).await?);
        }
        Ok(saved)
    }

    /// One filter that the caller may use.
    pub async fn filter(&self, caller: &Caller, id: Uuid) -> Answer<Saved> {
        let laid = self.laid_down().await?;
        let filter = laid.filters.iter().find(|filter| filter.id == id && filter.seen_by(caller));
        let filter = filter.ok_or(Refusal::NotFound)?.clone();
        let reader = self.store.read().await?;
        self.saved(&reader, filter).await
    }

    async fn saved(&self, reader: &Reader, filter: FilterView) -> Answer<Saved> {
        let owner = self.account_of(reader, filter.owner.as_bytes()).await?.map(|account| account.name);
        Ok(Saved { filter, owner })
    }

    /// Saves a filter of the caller's own.
    pub async fn create_filter(&self, caller: &Caller, fields: FilterFields) -> Answer<Saved> {
        let _turn = self.laid.changing.lock().await;
        let laid = self.laid_down().await?;
        checked(&laid, &fields)?;
        named_once(&laid, caller.account, &fields.name, None)?;
        if laid.filters.iter().filter(|filter| filter.owner == caller.account).count() >= MOST {
            return Err(conflict(format!("nobody has more than {MOST} filters")));
        }
        let FilterFields { name, filter, q, shared } = fields;
        let (owner, created) = (caller.account, rows::micros(self.clock.now()));
        let row = FilterRow { name, owner, shared, filter, q, created, book: None };
        let id = id_from(self.fresh()?);
        self.lay(Some(caller), id, None, Some(Definition::Filter(row.clone()))).await?;
        let reader = self.store.read().await?;
        self.saved(&reader, FilterView::of(id, row)).await
    }

    /// Changes a filter; false where it is no longer as it was read.
    pub async fn change_filter(
        &self,
        caller: &Caller,
        before: &FilterView,
        fields: FilterFields,
    ) -> Answer<bool> {
        may_change(caller, before)?;
        if fields == before.fields {
            return Ok(true);
        }
        let _turn = self.laid.changing.lock().await;
        let laid = self.laid_down().await?;
        checked(&laid, &fields)?;
        named_once(&laid, before.owner, &fields.name, Some(before.id))?;
        let FilterFields { name, filter, q, shared } = fields;
        let after = FilterRow { name, filter, q, shared, ..before.row.clone() };
        let before_row = Definition::Filter(before.row.clone());
        self.lay(Some(caller), id_from(before.id), Some(before_row), Some(Definition::Filter(after))).await
    }

    /// Takes a filter away.
    pub async fn remove_filter(&self, caller: &Caller, filter: &FilterView) -> Answer<()> {
        may_change(caller, filter)?;
        if filter.serves_a_book() {
            return Err(conflict("a smart book shows what the filter finds; remove the book".into()));
        }
        let _turn = self.laid.changing.lock().await;
        let before = Definition::Filter(filter.row.clone());
        match self.lay(Some(caller), id_from(filter.id), Some(before), None).await? {
            true => Ok(()),
            false => Err(Refusal::Unmet.into()),
        }
    }

    /// Takes away the filters of an account that goes; what it shared is the heir's, where there is one.
    pub(in crate::service) async fn part_with_filters(
        &self,
        caller: Option<&Caller>,
        owner: AccountId,
        heir: Option<AccountId>,
    ) -> Answer<()> {
        let _turn = self.laid.changing.lock().await;
        let laid = self.laid_down().await?;
        for filter in laid.filters.iter().filter(|filter| filter.owner == owner) {
            let heir = heir.filter(|_| filter.fields.shared || filter.serves_a_book());
            let after = heir.map(|heir| Definition::Filter(FilterRow { owner: heir, ..filter.row.clone() }));
            let before = Definition::Filter(filter.row.clone());
            self.lay(caller, id_from(filter.id), Some(before), after).await?;
        }
        Ok(())
    }
}

/// One's own, and with `settings` what others share.
fn may_change(caller: &Caller, filter: &FilterView) -> Answer<()> {
    match filter.owner == caller.account {
        true => Ok(()),
        false => Ok(caller.need(Permission::Settings)?),
    }
}

fn checked(laid: &LaidDown, fields: &FilterFields) -> Answer<()> {
    let FilterFields { name, filter, q, .. } = fields;
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(wrong("/name", format!("a name is one line of 1 to {LONGEST_NAME} octets")));
    }
    if q.len() > LONGEST_Q || (!q.is_empty() && Query::parse(q).is_none()) {
        return Err(wrong("/q", format!("these are no words to look for, or more than {LONGEST_Q} octets")));
    }
    if filter.is_empty() {
        return match q.is_empty() {
            true => Err(wrong("/filter", "a saved filter has a filter, or words to look for in `q`")),
            false => Ok(()),
        };
    }
    let parsed = Filter::parse(filter).map_err(|why| wrong("/filter", why.to_string()))?;
    match parsed.fields().into_iter().find(|key| laid.field(&key.to_ascii_lowercase()).is_none()) {
        None => Ok(()),
        Some(_) => Err(wrong("/filter", "it asks for a field after `custom.` that there is not")),
    }
}

fn named_once(laid: &LaidDown, owner: AccountId, name: &str, but: Option<Uuid>) -> Answer<()> {
    let same =
        |filter: &&FilterView| filter.owner == owner && filter.fields.name == name && Some(filter.id) != but;
    match laid.filters.iter().any(|filter| same(&filter)) {
        false => Ok(()),
        true => Err(conflict("there is a filter of that name already".into())),
    }
}
