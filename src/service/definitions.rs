//! What admins and users lay down: the admin's own fields, saved filters, roles and service levels. All
//! of it is small, asked for with nearly every contact and changed rarely, so it is kept in memory
//! and read again after a change. Each kind has a file of its own; values of own fields are judged in
//! `custom.rs`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::domain::scim::Filter;
use crate::store::commit::{DefinitionOp, Op};
use crate::store::roster::{Asked, Books, Wanted};
use crate::store::rows::{Definition, Id};

use super::access::Caller;
use super::refusal::{Fault, Refusal, Stop};
use super::{Answer, Service};

pub mod custom;
mod fields;
pub mod filters;
pub mod words;

#[cfg(test)]
mod tests;

pub use crate::domain::contact::Kind;
pub use crate::store::rows::{FieldKind, FieldRow as Field, WordRow as Word};
pub use custom::Value;
use filters::FilterView;

/// Everything that is laid down.
#[derive(Default)]
pub struct LaidDown {
    /// The admin's own fields, by section, order and key.
    pub fields: Vec<Field>,
    /// Saved filters, everybody's.
    pub filters: Vec<FilterView>,
    /// Roles by order and key, those that are always there among them.
    pub roles: Vec<Word>,
    /// Service levels by order and key.
    pub service_levels: Vec<Word>,
}

/// What was laid down when it was last read, and whether that still holds.
#[derive(Default)]
pub(super) struct Laid {
    generation: AtomicU64,
    held: RwLock<Option<(u64, Arc<LaidDown>)>>,
    /// Held by who changes something, so that a name is taken once.
    changing: tokio::sync::Mutex<()>,
}

/// Says, when it goes, that something laid down may have changed: also where it is not known whether
/// the commit was done.
pub(super) struct Changing<'a>(&'a Laid);

impl Laid {
    /// To be held while these ops are committed.
    pub(super) fn changing(&self, ops: &[Op]) -> Option<Changing<'_>> {
        ops.iter().any(|op| matches!(op, Op::Definition(_))).then(|| Changing(self))
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl LaidDown {
    /// The field with that key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Whether there is a role with that key.
    pub fn has_role(&self, key: &str) -> bool {
        self.roles.iter().any(|role| role.key == key)
    }

    /// Whether there is a service level with that key.
    pub fn has_service_level(&self, key: &str) -> bool {
        self.service_levels.iter().any(|level| level.key == key)
    }
}

impl Service {
    /// Everything that is laid down; from memory, unless it has changed.
    pub async fn laid_down(&self) -> Answer<Arc<LaidDown>> {
        // Before the reading: a change that comes during it is read the next time.
        let generation = self.laid.generation.load(Ordering::Acquire);
        if let Some((known, laid)) = &*self.laid.held.read().unwrap_or_else(PoisonError::into_inner)
            && *known == generation
        {
            return Ok(laid.clone());
        }
        let laid = Arc::new(self.read_laid_down().await?);
        *self.laid.held.write().unwrap_or_else(PoisonError::into_inner) = Some((generation, laid.clone()));
        Ok(laid)
    }

    async fn read_laid_down(&self) -> Answer<LaidDown> {
        let reader = self.store.read().await?;
        let mut laid = LaidDown::default();
        let mut roles: BTreeMap<String, Word> =
            words::always().map(|role| (role.key.clone(), role)).collect();
        for kind in [Definition::FIELD, Definition::FILTER, Definition::ROLE, Definition::SERVICE_LEVEL] {
            for (id, definition) in reader.definitions(kind).await? {
                match definition {
                    Definition::Field(row) => laid.fields.push(row),
                    Definition::Filter(row) => laid.filters.push(FilterView::of(id, row)),
                    Definition::Role(row) => drop(roles.insert(row.key.clone(), row)),
                    Definition::ServiceLevel(row) => laid.service_levels.push(row),
                    Definition::Part(_) | Definition::PublicLink(_) => {}
                }
            }
        }
        laid.fields.sort_by(|a, b| (&a.section, a.order, &a.key).cmp(&(&b.section, b.order, &b.key)));
        laid.roles = roles.into_values().collect();
        for words in [&mut laid.roles, &mut laid.service_levels] {
            words.sort_by(|a, b| (a.order, &a.key).cmp(&(b.order, &b.key)));
        }
        Ok(laid)
    }

    /// Lays something down, changes it or takes it away; false where it is no longer as it was read.
    pub(super) async fn lay(
        &self,
        caller: Option<&Caller>,
        id: Id,
        before: Option<Definition>,
        after: Option<Definition>,
    ) -> Answer<bool> {
        let op = Op::Definition(DefinitionOp { id, before, after });
        match self.commit(caller, Vec::new(), vec![op]).await {
            Err(Stop::Refused(Refusal::NotFound)) => Ok(false),
            done => done.map(|_| true),
        }
    }

    /// How many contacts a filter matches, in everybody's books and in the trash: what they have must
    /// not lose its meaning.
    async fn used(&self, filter: &str) -> Answer<usize> {
        let filter = Filter::parse(filter).map_err(|_| Fault("a filter of our own is none".into()))?;
        let all = self.shelves().await?.all();
        let mut count = 0;
        for books in [Books::These(all), Books::Trash] {
            let wanted = Wanted { filter: Some(filter.clone()), query: None };
            let asked = Asked { books, wanted, order: Vec::new(), step: None, limit: 1 };
            count += self.store.contacts_page(asked).await?.total;
        }
        Ok(count)
    }
}

/// The id of what is called by a key: the same key has the same id, so that there is one of it.
fn id_of(kind: u8, key: &str) -> Id {
    let mut hasher = blake3::Hasher::new_derive_key("cardkeep 2026 what is laid down, by its key");
    hasher.update(&[kind]).update(key.as_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    Id(id)
}

/// The id of what has no key.
fn id_from(uuid: Uuid) -> Id {
    Id(*uuid.as_bytes())
}

fn wrong(pointer: &str, text: impl Into<String>) -> Stop {
    Refusal::Wrong { pointer: pointer.to_owned(), text: text.into() }.into()
}
