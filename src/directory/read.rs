//! Reading entries and gathering what they say: page by page (RFC 2696), within what memory holds.

use std::collections::{BTreeSet, HashMap};

use ldap3::Scope as Depth;
use ldap3::controls::{PagedResults, RawControl};

use crate::service::directory::{DirectoryError, PeopleGroup, Person};

use super::connect::{Connection, verdict};
use super::entry::Entry;
use super::person::{self, Notes};
use super::ranges;
use super::search::{Done, Found, Search};
use super::{Scope, Settings};

/// The most entries of one reading.
const ENTRIES: usize = 500_000;

/// What entries are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// People.
    People,
    /// Groups.
    Groups,
}

impl What {
    /// Below what and which, and the key that says it.
    pub fn scope(self, settings: &Settings) -> Option<(&Scope, &'static str)> {
        match self {
            Self::People => Some((&settings.users, "ldap.user_base")),
            Self::Groups => settings.groups.as_ref().map(|groups| (groups, "ldap.group_base")),
        }
    }

    fn attributes(self, settings: &Settings) -> Vec<String> {
        match self {
            Self::People => settings.attributes.of_people(),
            Self::Groups => settings.attributes.of_groups(),
        }
    }
}

/// What was read so far.
#[derive(Default)]
pub struct Gathered {
    pub people: Vec<Person>,
    pub groups: Vec<PeopleGroup>,
    /// The ids of everything that is there.
    pub present: BTreeSet<String>,
    pub notes: Notes,
    pub passed_over: usize,
    /// The newest change that was seen, of what is being read now.
    pub newest: String,
    places: HashMap<(bool, String), usize>,
    /// Groups whose members go on elsewhere: which, in which attribute, from where.
    more: Vec<(usize, String, usize)>,
}

impl Gathered {
    /// Takes an entry, whose id synchronisation may have told.
    pub fn take(
        &mut self,
        what: What,
        entry: &Entry,
        id: Option<String>,
        settings: &Settings,
    ) -> Result<(), DirectoryError> {
        let Some(id) = id.or_else(|| person::id(entry, &settings.attributes)) else {
            self.notes.note(person::NO_ID);
            self.passed_over += 1;
            return Ok(());
        };
        if let Some(stamp) = entry.values("modifyTimestamp").first().and_then(|v| std::str::from_utf8(v).ok())
            && stamp.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'.')
            && stamp > self.newest.as_str()
        {
            self.newest = stamp.to_owned();
        }
        self.is_there(id.clone())?;
        match what {
            What::People => {
                let read = person::person(id, entry, &settings.attributes, &mut self.notes);
                match read {
                    Some(person) => self.keep_person(person),
                    None => self.passed_over += 1,
                }
            }
            What::Groups => {
                let read = person::group(id, entry, &settings.attributes, &mut self.notes);
                match read {
                    Some((group, more)) => self.keep_group(group, more),
                    None => self.passed_over += 1,
                }
            }
        }
        Ok(())
    }

    /// Remembers that it is there.
    pub fn is_there(&mut self, id: String) -> Result<(), DirectoryError> {
        self.present.insert(id);
        if self.present.len() > ENTRIES {
            return Err(DirectoryError::Refused(format!(
                "it has more than {ENTRIES} entries; narrow ldap.user_filter or ldap.user_base"
            )));
        }
        Ok(())
    }

    fn keep_person(&mut self, person: Person) {
        let place = *self.places.entry((false, person.id.clone())).or_insert(self.people.len());
        match self.people.get_mut(place) {
            Some(known) => {
                *known = person;
                self.notes.note(person::TWICE);
            }
            None => self.people.push(person),
        }
    }

    fn keep_group(&mut self, group: PeopleGroup, more: Option<(String, usize)>) {
        let place = *self.places.entry((true, group.id.clone())).or_insert(self.groups.len());
        match self.groups.get_mut(place) {
            Some(known) => {
                *known = group;
                self.notes.note(person::TWICE);
            }
            None => self.groups.push(group),
        }
        self.more.retain(|(known, ..)| *known != place);
        self.more.extend(more.map(|(attribute, from)| (place, attribute, from)));
    }

    /// Reads the members that did not fit into their group's entry.
    pub async fn complete(&mut self, connection: &mut Connection) -> Result<(), DirectoryError> {
        for (place, attribute, from) in std::mem::take(&mut self.more) {
            if let Some(group) = self.groups.get_mut(place) {
                ranges::rest(connection, group, &attribute, from, &mut self.notes).await?;
            }
        }
        Ok(())
    }
}

/// Reads the entries of that filter, page by page.
pub async fn entries(
    connection: &mut Connection,
    what: What,
    filter: &str,
    settings: &Settings,
    stamp: Option<&str>,
    gathered: &mut Gathered,
) -> Result<(), DirectoryError> {
    let Some((scope, key)) = what.scope(settings) else {
        return Ok(());
    };
    let mut attributes = what.attributes(settings);
    attributes.extend(stamp.map(str::to_owned));
    let scope = Scope { base: scope.base.clone(), filter: filter.to_owned() };
    let mut take = |gathered: &mut Gathered, entry: &Entry| gathered.take(what, entry, None, settings);
    pages(connection, &scope, key, attributes, settings.page_size, gathered, &mut take).await?;
    gathered.complete(connection).await
}

/// Only notes who is there.
pub async fn ids(
    connection: &mut Connection,
    what: What,
    settings: &Settings,
    gathered: &mut Gathered,
) -> Result<(), DirectoryError> {
    let Some((scope, key)) = what.scope(settings) else {
        return Ok(());
    };
    let mut take = |gathered: &mut Gathered, entry: &Entry| match person::id(entry, &settings.attributes) {
        Some(id) => gathered.is_there(id),
        None => Ok(()),
    };
    let attributes = settings.attributes.of_ids();
    pages(connection, scope, key, attributes, settings.page_size, gathered, &mut take).await
}

/// What is done with an entry.
type Take<'a> = dyn FnMut(&mut Gathered, &Entry) -> Result<(), DirectoryError> + Send + 'a;

async fn pages(
    connection: &mut Connection,
    scope: &Scope,
    key: &str,
    attributes: Vec<String>,
    page_size: usize,
    gathered: &mut Gathered,
    take: &mut Take<'_>,
) -> Result<(), DirectoryError> {
    let mut cookie = Vec::new();
    let mut empty_pages = 0;
    loop {
        let size = i32::try_from(page_size).unwrap_or(i32::MAX);
        // Not critical: who does no pages gives all at once.
        let control: RawControl = PagedResults { size, cookie }.into();
        let (base, filter, controls) = (&scope.base, &scope.filter, vec![control]);
        let mut search =
            Search::begin(connection, base, Depth::Subtree, filter, attributes.clone(), controls).await?;
        let mut any = false;
        while let Some(found) = search.next().await? {
            match found {
                Found::Entry(entry, _) => {
                    any = true;
                    take(gathered, &entry)?;
                }
                Found::Reference => gathered.notes.note(person::REFERRALS),
                Found::Info(_) => {}
            }
        }
        let Done { code, page, .. } = search.done().await?;
        if code != 0 {
            return Err(verdict(code, key));
        }
        empty_pages = if any { 0 } else { empty_pages + 1 };
        match page {
            // A page may be empty; a hundred in a row do not come to an end.
            Some(next) if !next.is_empty() && empty_pages < 100 => cookie = next,
            Some(next) if !next.is_empty() => {
                return Err(DirectoryError::Malformed("pages without end".to_owned()));
            }
            _ => return Ok(()),
        }
    }
}
