//! Who may do what: the one function that enforcement and `current-user-privilege-set` both ask
//! (ACL-16).

use crate::domain::id::{AccountId, CollectionId, UserName};

crate::hidden!(Caller);

/// A privilege (RFC 3744 §3), as clients read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// `DAV:read`
    Read,
    /// `DAV:write-content`
    WriteContent,
    /// `DAV:write-properties`
    WriteProperties,
    /// `DAV:bind`: may add members.
    Bind,
    /// `DAV:unbind`: may remove members.
    Unbind,
}

/// What a credential may do with address books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nothing.
    None,
    /// Read only.
    Read,
    /// Everything that the account may.
    Write,
}

/// Who is asking, once signed in.
#[derive(Clone)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: UserName,
    /// Its address-book home.
    pub home: CollectionId,
    /// What the credential allows for contacts (app passwords may be narrowed).
    pub contacts: Reach,
}

/// What a caller may do at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Read it.
    pub read: bool,
    /// Change, add, remove and describe.
    pub write: bool,
    /// It is the caller's own.
    pub owner: bool,
}

impl Rights {
    /// Whether the rights hold that privilege.
    pub fn allow(self, privilege: Privilege) -> bool {
        match privilege {
            Privilege::Read => self.read,
            _ => self.write,
        }
    }
}

/// What `caller` may do in what belongs to `owner`. Books of others are not shared yet, so they do
/// not exist for anyone else (ACL-23).
pub fn rights(caller: &Caller, owner: &UserName) -> Rights {
    let own = caller.name == *owner;
    Rights {
        read: own && caller.contacts >= Reach::Read,
        write: own && caller.contacts >= Reach::Write,
        owner: own,
    }
}
