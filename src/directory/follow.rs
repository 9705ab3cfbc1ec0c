//! What changed since the last reading: by content synchronisation (RFC 4533) where the directory does
//! it, by `uSNChanged` in Active Directory, else by `modifyTimestamp`; the latter two with a list of all
//! ids, because they do not tell who went.

use std::time::Duration;

use ldap3::Scope as Depth;
use tokio::time::timeout;

use crate::service::directory::{DirectoryError, Gone, Reading};

use super::connect::{Connection, Place, verdict};
use super::entry::Entry;
use super::filter::at_least;
use super::mark::Mark;
use super::read::{self, Gathered, What};
use super::search::{Found, Search};
use super::{Kind, Settings, sync};

/// The longest that a reading may take: a directory that dribbles does not hold us for ever.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// When the standards' directories say that an entry changed (RFC 4512 §3.4).
const STAMP: &str = "modifyTimestamp";

/// What a directory can do (RFC 4512 §5.1).
pub struct Abilities {
    /// It synchronises.
    pub sync: bool,
    /// It does pages.
    pub pages: bool,
    /// The last change, and which domain controller says so.
    pub usn: Option<(String, u64)>,
}

/// Reads what there is, or what changed since.
pub async fn read(place: &Place, since: Option<&[u8]>) -> Result<Reading, DirectoryError> {
    let whole = async {
        let mut connection = place.reader().await?;
        let abilities = abilities(&mut connection).await?;
        let settings = &place.settings;
        let mark = since.and_then(|since| Mark::read(since, settings));
        let mut gathered = Gathered::default();
        let (gone, next) = match (settings.kind, abilities.usn) {
            (Kind::ActiveDirectory, Some((server, usn))) => {
                by_usn(&mut connection, settings, mark, server, usn, &mut gathered).await?
            }
            _ if abilities.sync && settings.attributes.follow_entry_uuid() => {
                let since = match mark {
                    Some(Mark::Sync(people, groups)) => Some((people, groups)),
                    _ => None,
                };
                sync::read(&mut connection, settings, since, &mut gathered).await?
            }
            _ => by_stamp(&mut connection, settings, mark, &mut gathered).await?,
        };
        Ok(Reading {
            people: gathered.people,
            groups: gathered.groups,
            gone,
            next: next.write(settings),
            warnings: gathered.notes.in_words(),
            passed_over: gathered.passed_over,
        })
    };
    timeout(LONGEST, whole).await.unwrap_or_else(|_| {
        Err(DirectoryError::Unreachable(format!("a reading took longer than {} s", LONGEST.as_secs())))
    })
}

/// Asks what it can do.
pub async fn abilities(connection: &mut Connection) -> Result<Abilities, DirectoryError> {
    let asked = ["supportedControl", "highestCommittedUSN", "dsServiceName"].map(str::to_owned).to_vec();
    let mut search = Search::begin(connection, "", Depth::Base, "(objectClass=*)", asked, vec![]).await?;
    let mut abilities = Abilities { sync: false, pages: false, usn: None };
    while let Some(found) = search.next().await? {
        if let Found::Entry(entry, _) = found {
            let controls = entry.values("supportedControl");
            let has = |control: &str| controls.iter().any(|found| found == control.as_bytes());
            abilities.sync = has(sync::CONTROL);
            abilities.pages = has("1.2.840.113556.1.4.319");
            abilities.usn = usn(&entry);
        }
    }
    match search.done().await?.code {
        0 => Ok(abilities),
        // Some hide it: what is not announced is not used.
        32 | 50 => Ok(abilities),
        code => Err(verdict(code, "the root entry")),
    }
}

fn usn(entry: &Entry) -> Option<(String, u64)> {
    let first = |name: &str| {
        entry.values(name).first().and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned)
    };
    Some((first("dsServiceName")?, first("highestCommittedUSN")?.trim().parse().ok()?))
}

/// Changes are numbered by each domain controller for itself: on another one everything is read.
async fn by_usn(
    connection: &mut Connection,
    settings: &Settings,
    mark: Option<Mark>,
    server: String,
    now: u64,
    gathered: &mut Gathered,
) -> Result<(Gone, Mark), DirectoryError> {
    let since = match mark {
        Some(Mark::Usn(before, usn)) if before == server && usn <= now => Some(usn),
        _ => None,
    };
    for what in [What::People, What::Groups] {
        let Some((scope, _)) = what.scope(settings) else {
            continue;
        };
        let filter = match since {
            Some(usn) => at_least(&scope.filter, "uSNChanged", &usn.saturating_add(1).to_string()),
            None => scope.filter.clone(),
        };
        read::entries(connection, what, &filter, settings, None, gathered).await?;
        if since.is_some() {
            read::ids(connection, what, settings, gathered).await?;
        }
    }
    Ok((Gone::AllBut(std::mem::take(&mut gathered.present)), Mark::Usn(server, now)))
}

/// The newest change that was seen is asked for again: others may have been made in the same second.
async fn by_stamp(
    connection: &mut Connection,
    settings: &Settings,
    mark: Option<Mark>,
    gathered: &mut Gathered,
) -> Result<(Gone, Mark), DirectoryError> {
    let (people, groups) = match mark {
        Some(Mark::Stamps(people, groups)) => (people, groups),
        _ => (String::new(), String::new()),
    };
    let mut newest = [people, groups];
    for (what, newest) in [What::People, What::Groups].into_iter().zip(&mut newest) {
        let Some((scope, _)) = what.scope(settings) else {
            continue;
        };
        let whole = newest.is_empty();
        let filter = if whole { scope.filter.clone() } else { at_least(&scope.filter, STAMP, newest) };
        gathered.newest = std::mem::take(newest);
        read::entries(connection, what, &filter, settings, Some(STAMP), gathered).await?;
        *newest = std::mem::take(&mut gathered.newest);
        if !whole {
            read::ids(connection, what, settings, gathered).await?;
        }
    }
    let [people, groups] = newest;
    Ok((Gone::AllBut(std::mem::take(&mut gathered.present)), Mark::Stamps(people, groups)))
}
