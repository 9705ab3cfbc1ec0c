//! Signing in: a fresh connection, on which the reader sees whose name that is, and then one bind.

use ldap3::Scope as Depth;
use tokio::time::timeout;

use crate::service::directory::DirectoryError;

use super::Settings;
use super::connect::{Connection, Place, verdict};
use super::person;
use super::search::{Found, Search};

/// Whether that is the password of the entry that has this name and this id.
///
/// Without a password or a name a bind is anonymous and succeeds (RFC 4513 §5.1.1, §5.1.2), so
/// neither is asked for.
pub async fn is_password(
    place: &Place,
    (dn, id): (&str, &str),
    password: &str,
) -> Result<bool, DirectoryError> {
    if dn.trim().is_empty() || password.is_empty() {
        return Ok(false);
    }
    let asked = async {
        let mut connection = place.reader().await?;
        if !is_of(&mut connection, &place.settings, dn, id).await? {
            return Ok(NO_SUCH_OBJECT);
        }
        connection.bind(dn, password).await
    };
    // Each step has its time; somebody waits for all of them.
    let code = timeout(place.settings.timeout.saturating_mul(2), asked).await.unwrap_or_else(|_| {
        Err(DirectoryError::Unreachable("it takes too long to check a password".to_owned()))
    })?;
    match code {
        0 => Ok(true),
        // Wrong; locked (19, 53 by several servers); without a password there (48); gone (32), or no name
        // that could be an entry's (34).
        49 | 19 | 53 | 48 | NO_SUCH_OBJECT | 34 => Ok(false),
        code => Err(verdict(code, "the user's entry")),
    }
}

/// Whether the directory answers, by the steps that it takes to check a password: somebody whose
/// password nobody asks the directory for is to learn of that when everybody else does.
pub async fn answers(place: &Place) -> Result<(), DirectoryError> {
    let asked = async {
        let mut connection = place.reader().await?;
        // The root, which every directory has; whether it shows anything there is its own affair.
        is_of(&mut connection, &place.settings, "", "").await.map(drop)
    };
    timeout(place.settings.timeout.saturating_mul(2), asked)
        .await
        .unwrap_or_else(|_| Err(DirectoryError::Unreachable("it takes too long to answer".to_owned())))
}

/// Whether the entry of that name is the one with that id, and no other that got the name since.
async fn is_of(
    connection: &mut Connection,
    settings: &Settings,
    dn: &str,
    id: &str,
) -> Result<bool, DirectoryError> {
    let attributes = settings.attributes.of_ids();
    let mut search = Search::begin(connection, dn, Depth::Base, ANY, attributes, vec![]).await?;
    let mut same = false;
    while let Some(found) = search.next().await? {
        if let Found::Entry(entry, _) = found {
            same |= person::id(&entry, &settings.attributes).is_some_and(|found| found == id);
        }
    }
    match search.done().await?.code {
        0 => Ok(same),
        // There is none, or it is not the reader's to see, or that is no name.
        NO_SUCH_OBJECT | 34 | 50 => Ok(false),
        code => Err(verdict(code, "the user's entry")),
    }
}

/// RFC 4511 §4.1.9.
const NO_SUCH_OBJECT: u32 = 32;
/// Every entry has a class.
const ANY: &str = "(objectClass=*)";
