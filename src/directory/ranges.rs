//! Members that Active Directory gives out in parts (MS-ADTS 3.1.1.3.1.3.3): 1,500 with the entry, the
//! others by asking for `member;range=1500-*` until a part is the last.

use ldap3::Scope as Depth;

use crate::service::directory::{DirectoryError, PeopleGroup};

use super::connect::{Connection, verdict};
use super::person::{self, MEMBERS, Notes};
use super::search::{Found, Search};

/// Reads the members from there on.
pub async fn rest(
    connection: &mut Connection,
    group: &mut PeopleGroup,
    attribute: &str,
    from: usize,
    notes: &mut Notes,
) -> Result<(), DirectoryError> {
    let mut from = Some(from);
    while let Some(start) = from {
        if start > MEMBERS || group.members.len() > MEMBERS {
            return Err(DirectoryError::Refused(format!("a group has more than {MEMBERS} members")));
        }
        let asked = vec![format!("{attribute};range={start}-*")];
        let mut search =
            Search::begin(connection, &group.dn, Depth::Base, "(objectClass=*)", asked, vec![]).await?;
        let mut next = None;
        let mut found_any = false;
        while let Some(found) = search.next().await? {
            if let Found::Entry(entry, _) = found
                && let Some(part) = entry.ranged(attribute)
            {
                found_any = true;
                group.members.extend(person::members(attribute, part.values, notes));
                next = part.next;
            }
        }
        let done = search.done().await?;
        if done.code != 0 {
            return Err(verdict(done.code, "a group"));
        }
        if !found_any || next.is_some_and(|next| next <= start) {
            return Err(DirectoryError::Malformed("members in parts that do not go on".to_owned()));
        }
        from = next;
    }
    Ok(())
}
