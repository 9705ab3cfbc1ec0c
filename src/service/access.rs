//! Who may do what: the one function that enforcement and `current-user-privilege-set` both ask
//! (ACL-16).

use crate::domain::id::{AccountId, CollectionId, CollectionKind, HomeName, UserName};
use crate::domain::permission::{Permission, Permissions};
use crate::store::rows::{CollectionRow, Id};

use super::refusal::Refusal;

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

/// What a credential may do with address books, or with calendars.
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
    /// Its home of calendars.
    pub calendar_home: Option<CollectionId>,
    /// What the credential allows for contacts (app passwords may be narrowed).
    pub contacts: Reach,
    /// What it allows for calendars.
    pub calendars: Reach,
    /// The groups that the account is in, sorted.
    pub groups: std::sync::Arc<[Id]>,
    /// What it may do through the API beyond what is its own; nothing with an app password.
    pub permissions: Permissions,
    /// What its token is for, which narrows what it may do with its own too; all without a token.
    pub scopes: Permissions,
    /// The credential opens the account's private books: nobody else made it.
    pub private: bool,
    /// The family of the client it asks with, of a fixed list; empty where that is not known.
    pub client: &'static str,
}

impl Caller {
    /// Its home of address books, by name.
    pub fn books(&self) -> HomeName {
        HomeName::books(self.name.clone())
    }

    /// Its home of that kind.
    pub fn home_of(&self, kind: CollectionKind) -> Option<CollectionId> {
        match kind {
            CollectionKind::AddressBook => Some(self.home),
            CollectionKind::Calendar => self.calendar_home,
        }
    }

    /// What the credential allows for collections of that kind.
    pub fn reach_of(&self, kind: CollectionKind) -> Reach {
        match kind {
            CollectionKind::AddressBook => self.contacts,
            CollectionKind::Calendar => self.calendars,
        }
    }

    /// Refuses who lacks the permission.
    pub fn need(&self, permission: Permission) -> Result<(), Refusal> {
        match self.permissions.has(permission) {
            true => Ok(()),
            false => Err(Refusal::NeedPermission(permission)),
        }
    }

    /// Refuses a token that is not for that, though what it is about is the caller's own.
    pub fn need_scope(&self, permission: Permission) -> Result<(), Refusal> {
        match self.scopes.has(permission) {
            true => Ok(()),
            false => Err(Refusal::NeedPermission(permission)),
        }
    }
}

/// What a caller may do at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Read it.
    pub read: bool,
    /// Change, add and remove.
    pub write: bool,
    /// Write properties on it.
    pub describe: bool,
    /// It is the caller's own.
    pub owner: bool,
}

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self { read: false, write: false, describe: false, owner: false };

    /// Whether the rights hold that privilege.
    pub fn allow(self, privilege: Privilege) -> bool {
        match privilege {
            Privilege::Read => self.read,
            Privilege::WriteProperties => self.describe,
            Privilege::WriteContent | Privilege::Bind | Privilege::Unbind => self.write,
        }
    }

    /// What they are on a member: what a sharee writes on a book is the sharee's own view of it,
    /// and a card has no such view.
    pub fn on_members(self) -> Self {
        Self { describe: self.write, ..self }
    }
}

/// The share that every user has of a book, by the account that it names.
pub const EVERYBODY: Id = Id([0; 16]);

/// Whose a place is.
#[derive(Debug, Clone, Copy)]
pub enum Belongs<'a> {
    /// This user's: a principal.
    To(&'a UserName),
    /// This user's: a home.
    Home(&'a HomeName),
    /// This user's, a book in its home that is its own.
    Own(&'a UserName, &'a CollectionRow),
    /// Whoever the book's row says, reached by its own URL.
    Shared(&'a CollectionRow),
    /// The same, reached through the caller's home, where the caller may describe it for themselves.
    Mounted(&'a CollectionRow),
}

/// What `caller` may do there: everything with its own, with a book of a group what that group may,
/// with others' what they share. What nobody shares does not exist for anyone else (ACL-23).
pub fn rights(caller: &Caller, belongs: Belongs<'_>) -> Rights {
    let (own, read, write, mounted) = match belongs {
        Belongs::To(name) | Belongs::Home(HomeName { user: name, .. }) => {
            let own = caller.name == *name;
            (own, own, own, false)
        }
        Belongs::Own(name, row) => {
            let own = caller.name == *name && !hidden(caller, row);
            (own, own, own && row.smart.is_none(), false)
        }
        Belongs::Shared(row) => {
            let (own, read, write) = granted(caller, row);
            (own, read, write, false)
        }
        Belongs::Mounted(row) => {
            let (own, read, write) = granted(caller, row);
            (own, read, write, true)
        }
    };
    let reach = match belongs {
        Belongs::To(_) => caller.contacts.max(caller.calendars),
        Belongs::Home(home) => caller.reach_of(home.kind),
        Belongs::Own(_, row) | Belongs::Shared(row) | Belongs::Mounted(row) => caller.reach_of(row.kind()),
    };
    let may_write = reach >= Reach::Write;
    Rights {
        read: read && reach >= Reach::Read,
        write: write && may_write,
        describe: (own || (mounted && read)) && may_write,
        owner: own,
    }
}

/// Whether a book is too private for the credential, though it may be the caller's own.
fn hidden(caller: &Caller, row: &CollectionRow) -> bool {
    row.private && !caller.private
}

/// Whether a book is the caller's own, and whether it may be read and written by whoever it is.
pub(super) fn granted(caller: &Caller, row: &CollectionRow) -> (bool, bool, bool) {
    let own = row.owner == *caller.account.as_bytes() && !hidden(caller, row);
    // Who belongs to a group that owns a book works with it, and does not dispose of it.
    let ours = caller.groups.iter().any(|group| group.0 == row.owner);
    let theirs = |account: &Id| {
        *account == EVERYBODY || account.0 == *caller.account.as_bytes() || caller.groups.contains(account)
    };
    let shares = || row.shares.iter().filter(|share| !row.private && theirs(&share.account));
    let read = own || ours || shares().next().is_some();
    // What a smart book shows is changed where it comes from.
    let write = row.smart.is_none() && (own || ours || shares().any(|share| share.write));
    (own, read, write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::ShareRow;

    fn caller(contacts: Reach) -> Caller {
        Caller {
            account: AccountId::from_bytes([1; 16]),
            name: UserName::parse("bob").unwrap(),
            home: CollectionId::from_bytes([2; 16]),
            calendar_home: None,
            contacts,
            calendars: Reach::None,
            groups: [Id([7; 16])].into(),
            permissions: Permissions::NONE,
            scopes: Permissions::ALL,
            private: true,
            client: "",
        }
    }

    fn book(owner: u8, shares: &[(u8, bool)]) -> CollectionRow {
        let share = |(account, write): &(u8, bool)| ShareRow { account: Id([*account; 16]), write: *write };
        CollectionRow { owner: [owner; 16], shares: shares.iter().map(share).collect(), ..Default::default() }
    }

    fn words(rights: Rights) -> String {
        let Rights { read, write, describe, owner } = rights;
        let shown = [(read, 'r'), (write, 'w'), (describe, 'd'), (owner, 'o')];
        shown.iter().filter(|(there, _)| *there).map(|(_, word)| word).collect()
    }

    #[test]
    fn a_share_gives_what_it_says_and_the_credential_narrows_it() {
        type Case<'a> = (&'a [(u8, bool)], &'a str, &'a str);
        let cases: [Case<'_>; 6] = [
            (&[], "", ""),
            (&[(1, false)], "r", "rd"),
            (&[(1, true)], "rw", "rwd"),
            (&[(7, true), (1, false)], "rw", "rwd"),
            (&[(0, false)], "r", "rd"),
            (&[(8, true)], "", ""),
        ];
        for (shares, shared, mounted) in cases {
            let row = book(9, shares);
            let of = |reach, belongs| words(rights(&caller(reach), belongs));
            assert_eq!(of(Reach::Write, Belongs::Shared(&row)), shared, "{shares:?}");
            assert_eq!(of(Reach::Write, Belongs::Mounted(&row)), mounted, "{shares:?}");
            assert_eq!(of(Reach::Read, Belongs::Mounted(&row)), if shared.is_empty() { "" } else { "r" });
            assert_eq!(of(Reach::None, Belongs::Mounted(&row)), "");
            let private = CollectionRow { private: true, ..row.clone() };
            assert_eq!(of(Reach::Write, Belongs::Shared(&private)), "", "{shares:?}");
        }
        assert_eq!(words(rights(&caller(Reach::Write), Belongs::Shared(&book(1, &[])))), "rwdo");
        assert_eq!(words(rights(&caller(Reach::Write), Belongs::Mounted(&book(7, &[])))), "rwd", "a group's");
    }

    #[test]
    fn a_smart_book_is_read_by_those_who_may_and_written_by_nobody() {
        let smart = |row: CollectionRow| CollectionRow { smart: Some(Id([5; 16])), ..row };
        let bob = caller(Reach::Write).name;
        let (own, shared) = (smart(book(1, &[])), smart(book(9, &[(1, true)])));
        let of = |belongs| words(rights(&caller(Reach::Write), belongs));
        assert_eq!(of(Belongs::Own(&bob, &own)), "rdo");
        assert_eq!(of(Belongs::Shared(&own)), "rdo");
        assert_eq!(of(Belongs::Mounted(&shared)), "rd");
        assert_eq!(of(Belongs::Shared(&shared)), "r");
        assert_eq!(of(Belongs::Shared(&smart(book(7, &[])))), "r", "a group's");
    }

    #[test]
    fn a_credential_that_somebody_else_made_opens_all_but_private_books() {
        let row = book(1, &[]);
        let private = CollectionRow { private: true, ..row.clone() };
        for (opens, of_private) in [(true, "rwdo"), (false, "")] {
            let caller = Caller { private: opens, ..caller(Reach::Write) };
            let bob = caller.name.clone();
            for (row, expected) in [(&row, "rwdo"), (&private, of_private)] {
                assert_eq!(words(rights(&caller, Belongs::Own(&bob, row))), expected);
                assert_eq!(words(rights(&caller, Belongs::Shared(row))), expected);
                assert_eq!(words(rights(&caller, Belongs::Mounted(row))), expected);
            }
        }
    }
}
