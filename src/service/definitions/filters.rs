//! Saved filters: one's own, and those that others share.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::id::{AccountId, CollectionId};
use crate::domain::permission::Permission;
use crate::domain::scim::{Filter, Query};
use crate::service::access::Caller;
use crate::service::admin::conflict;
use crate::service::library::{BookView, NewBook};
use crate::service::refusal::Refusal;
use crate::service::smart::display_name;
use crate::service::{Answer, Service};
use crate::store::commit::{CollectionOp, DefinitionOp, Op};
use crate::store::query::Reader;
use crate::store::rows::{self, Definition, FilterRow, Id};

use super::{LaidDown, id_from, wrong};

crate::hidden!(FilterView, FilterFields, Saved, Serves);

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

/// What a smart book is to show.
#[derive(Clone, PartialEq, Eq)]
pub enum Serves {
    /// What a saved filter finds.
    Saved(Uuid),
    /// What this filter finds, which is saved.
    Text(String),
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

    /// Whether it was served by a smart book, which may be gone.
    fn serves_a_book(&self) -> bool {
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
        let (id, row) = self.new_filter(&laid, caller, fields)?;
        self.lay(Some(caller), id, None, Some(Definition::Filter(row.clone()))).await?;
        let reader = self.store.read().await?;
        self.saved(&reader, FilterView::of(id, row)).await
    }

    /// Makes a smart book, which shows what a filter finds: one that the caller may use and that no other
    /// book serves, or a new one of the caller's, called as the book.
    pub async fn create_smart_book(&self, caller: &Caller, new: NewBook, serves: Serves) -> Answer<BookView> {
        let account = self.may_make(caller, &new).await?;
        if account.group {
            return Err(wrong("/owner", "a smart book shows what its owner may see, and is a user's"));
        }
        let book = CollectionId::new(self.fresh()?);
        let _turn = self.laid.changing.lock().await;
        let laid = self.laid_down().await?;
        let (id, before, after) = match serves {
            Serves::Saved(id) => {
                let filter = laid.filters.iter().find(|filter| filter.id == id && filter.seen_by(caller));
                let row = filter.map(|filter| filter.row.clone());
                let row = row.ok_or_else(|| wrong("/filter", "there is no such filter"))?;
                if self.is_served(row.book, id_from(id)).await? {
                    return Err(conflict("another smart book shows what the filter finds".into()));
                }
                (id_from(id), Some(row.clone()), FilterRow { book: Some(book), ..row })
            }
            Serves::Text(filter) => {
                let name = new.name.as_str().to_owned();
                let fields = FilterFields { name, filter, ..FilterFields::default() };
                let (id, row) = self.new_filter(&laid, caller, fields)?;
                (id, None, FilterRow { book: Some(book), ..row })
            }
        };
        let serve = CollectionOp::Serve {
            home: CollectionId::from_bytes(account.home),
            name: new.name.clone(),
            id: book,
            owner: AccountId::from_bytes(account.id),
            filter: id,
            properties: vec![display_name(&after.name)],
        };
        let (before, after) = (before.map(Definition::Filter), Some(Definition::Filter(after)));
        let lay = DefinitionOp { id, before, after };
        let ops = vec![Op::Definition(lay), Op::Collection(serve)];
        self.lay_book(caller, &account, (book, ops), &new).await
    }

    /// A filter of the caller's own that is to be saved.
    fn new_filter(&self, laid: &LaidDown, caller: &Caller, fields: FilterFields) -> Answer<(Id, FilterRow)> {
        checked(laid, &fields)?;
        named_once(laid, caller.account, &fields.name, None)?;
        if laid.filters.iter().filter(|filter| filter.owner == caller.account).count() >= MOST {
            return Err(conflict(format!("nobody has more than {MOST} filters")));
        }
        let FilterFields { name, filter, q, shared } = fields;
        let (owner, created) = (caller.account, rows::micros(self.clock.now()));
        let row = FilterRow { name, owner, shared, filter, q, created, book: None };
        Ok((id_from(self.fresh()?), row))
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
        let name = after.name.clone();
        let after = Some(Definition::Filter(after));
        let done = self.lay(Some(caller), id_from(before.id), Some(before_row), after).await?;
        if let (true, Some(book)) = (done && name != before.fields.name, before.row.book) {
            self.show_name(book, &before.fields.name, &name).await?;
        }
        Ok(done)
    }

    /// Takes a filter away.
    pub async fn remove_filter(&self, caller: &Caller, filter: &FilterView) -> Answer<()> {
        may_change(caller, filter)?;
        if self.is_served(filter.row.book, id_from(filter.id)).await? {
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
