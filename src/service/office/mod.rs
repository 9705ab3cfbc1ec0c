//! Contacts as the office sees them: card and record together, found by id or number, in all books that
//! the caller may use. What phones do with cards is `contacts.rs`'s; both write through the same commit.

mod bulk;
mod change;
mod company;
mod convert;
mod draft;
mod find;
mod history;
mod links;
mod merge;
pub mod shelves;
mod take;
mod timeline;
mod trashed;
mod view;
mod words;

pub use crate::store::roster::{By, Order, Step};
pub use bulk::{Meant, NAMED, Patches, Preview};
pub(super) use change::BY_PHONE;
pub use company::{CompanyHistory, PEOPLE};
pub use convert::Company;
pub use draft::{Draft, RecordDraft};
pub use find::{Found, Listed, ListedContacts};
pub use history::{HistoryEntry, HistoryPlace, Version};
pub use links::{Relation, RelationKind};
pub use merge::MergeAsked;
pub(super) use shelves::Kept as KeptShelves;
pub use shelves::{Deed, Shelves};
pub use take::Take;
pub use timeline::{Planned, Planning};
pub(super) use timeline::{add_names, whole_objects};
pub use view::{ContactRef, ContactView, NumberedContact};

#[cfg(test)]
mod tests;
