//! Content synchronisation (RFC 4533), refreshOnly: a directory that does it says what came, changed
//! and went since the cookie that it gave us.

use std::collections::BTreeSet;

use ldap3::Scope as Depth;
use ldap3::controls::{MakeCritical as _, RawControl, RefreshMode, SyncRequest};

use crate::service::directory::{DirectoryError, Gone};

use super::Settings;
use super::connect::{Connection, verdict};
use super::mark::Mark;
use super::person::{self, REFERRALS};
use super::read::{self, Gathered, What};
use super::search::{Found, Info, Is, Search};

/// The control that a server announces which can do it.
pub const CONTROL: &str = "1.3.6.1.4.1.4203.1.9.1.1";

/// e-syncRefreshRequired (RFC 4533 §2.6): the cookie is too old.
const REFRESH_REQUIRED: u32 = 4096;
/// What servers answer to a cookie that they cannot read or that is ahead of them (OpenLDAP 2.5: a
/// protocol error, or unwilling to perform).
const COOKIE_REFUSED: [u32; 3] = [2, 53, REFRESH_REQUIRED];

/// Where a synchronisation left off.
struct Refreshed {
    /// What was not named is gone.
    all: bool,
    /// Where the next goes on.
    cookie: Vec<u8>,
}

/// Reads what changed since the mark, or everything.
pub async fn read(
    connection: &mut Connection,
    settings: &Settings,
    since: Option<(Vec<u8>, Vec<u8>)>,
    gathered: &mut Gathered,
) -> Result<(Gone, Mark), DirectoryError> {
    let (people, groups) = since.unwrap_or_default();
    let mut gone = BTreeSet::new();
    let people = refresh(connection, What::People, settings, people, gathered, &mut gone).await?;
    let groups = refresh(connection, What::Groups, settings, groups, gathered, &mut gone).await?;
    gathered.complete(connection).await?;
    let whole = |refreshed: &Option<Refreshed>| refreshed.as_ref().is_some_and(|r| r.all);
    let gone = if whole(&people) || whole(&groups) {
        // One of them told who is there, the other who went: who is there is asked of it too.
        for (what, refreshed) in [(What::People, &people), (What::Groups, &groups)] {
            if refreshed.as_ref().is_some_and(|refreshed| !refreshed.all) {
                read::ids(connection, what, settings, gathered).await?;
            }
        }
        // Told to be there, and then to be gone (RFC 4533 §3.3.2).
        gathered.present.retain(|id| !gone.contains(id));
        Gone::AllBut(std::mem::take(&mut gathered.present))
    } else {
        Gone::These(gone)
    };
    let cookie = |refreshed: Option<Refreshed>| refreshed.map(|r| r.cookie).unwrap_or_default();
    Ok((gone, Mark::Sync(cookie(people), cookie(groups))))
}

/// One base; a cookie that is refused begins anew.
async fn refresh(
    connection: &mut Connection,
    what: What,
    settings: &Settings,
    cookie: Vec<u8>,
    gathered: &mut Gathered,
    gone: &mut BTreeSet<String>,
) -> Result<Option<Refreshed>, DirectoryError> {
    if what.scope(settings).is_none() {
        return Ok(None);
    }
    if !cookie.is_empty() {
        let going_on = one(connection, what, settings, cookie, gathered, gone).await?;
        if going_on.is_some() {
            return Ok(going_on);
        }
    }
    match one(connection, what, settings, vec![], gathered, gone).await? {
        Some(refreshed) => Ok(Some(refreshed)),
        None => Err(verdict(REFRESH_REQUIRED, "a synchronisation from the beginning")),
    }
}

/// `None` where the cookie is refused.
async fn one(
    connection: &mut Connection,
    what: What,
    settings: &Settings,
    cookie: Vec<u8>,
    gathered: &mut Gathered,
    gone: &mut BTreeSet<String>,
) -> Result<Option<Refreshed>, DirectoryError> {
    let Some((scope, key)) = what.scope(settings) else {
        return Ok(None);
    };
    let first = cookie.is_empty();
    let mut refreshed = Refreshed { all: first, cookie: cookie.clone() };
    let request = SyncRequest {
        mode: RefreshMode::RefreshOnly,
        cookie: (!first).then_some(cookie),
        reload_hint: false,
    };
    let control: RawControl = request.critical().into();
    let attributes = match what {
        What::People => settings.attributes.of_people(),
        What::Groups => settings.attributes.of_groups(),
    };
    let (base, filter) = (&scope.base, &scope.filter);
    let mut search =
        Search::begin(connection, base, Depth::Subtree, filter, attributes, vec![control]).await?;
    while let Some(found) = search.next().await? {
        match found {
            Found::Entry(entry, Some(state)) => {
                let id = person::uuid(&state.uuid).unwrap_or_default();
                match state.is {
                    Is::Present => gathered.is_there(id)?,
                    Is::Gone => {
                        gone.insert(id);
                    }
                    Is::Changed => gathered.take(what, &entry, Some(id), settings)?,
                }
                refreshed.note(state.cookie);
            }
            Found::Entry(_, None) => {
                return Err(DirectoryError::Malformed("an entry without its state".to_owned()));
            }
            Found::Reference => gathered.notes.note(REFERRALS),
            Found::Info(info) => refreshed.hear(info, gathered, gone)?,
        }
    }
    let done = search.done().await?;
    match (done.code, done.sync) {
        (0, Some((cookie, told_deletions))) => {
            refreshed.note(cookie);
            refreshed.all |= !told_deletions;
            Ok(Some(refreshed))
        }
        (0, None) => Err(DirectoryError::Malformed("a synchronisation without its end".to_owned())),
        (code, _) if !first && COOKIE_REFUSED.contains(&code) => Ok(None),
        (code, _) => Err(verdict(code, key)),
    }
}

impl Refreshed {
    fn note(&mut self, cookie: Option<Vec<u8>>) {
        if let Some(cookie) = cookie.filter(|cookie| !cookie.is_empty()) {
            self.cookie = cookie;
        }
    }

    fn hear(
        &mut self,
        info: Info,
        gathered: &mut Gathered,
        gone: &mut BTreeSet<String>,
    ) -> Result<(), DirectoryError> {
        match info {
            Info::Cookie(cookie) => self.note(Some(cookie)),
            Info::Deletes(cookie) => self.note(cookie),
            Info::Presents(cookie) => {
                self.note(cookie);
                self.all = true;
            }
            Info::Set { cookie, gone: went, uuids } => {
                self.note(cookie);
                for id in uuids.iter().filter_map(|octets| person::uuid(octets)) {
                    if went {
                        gone.insert(id);
                    } else {
                        gathered.is_there(id)?;
                    }
                }
            }
        }
        Ok(())
    }
}
