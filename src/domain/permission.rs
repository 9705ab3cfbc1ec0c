//! What a user may do beyond the own books, and what a token is for: one set of words for both, and
//! the words of app passwords beside them.

/// A permission, in the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Permission {
    /// Read contacts in others' books.
    ContactsRead,
    /// Change them.
    ContactsWrite,
    /// Delete them.
    ContactsDelete,
    /// Merge duplicates.
    ContactsMerge,
    /// Import.
    Import,
    /// Export.
    Export,
    /// Documents of contacts.
    Documents,
    /// Follow-ups.
    Followups,
    /// The data protection officer's.
    Privacy,
    /// The audit log.
    Audit,
    /// Mailings and bounces.
    Mail,
    /// Users, groups and tokens.
    Users,
    /// Books, fields and the server's settings.
    Settings,
    /// All of it.
    Admin,
}

impl Permission {
    /// Every permission with its word.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::ContactsRead, "contacts:read"),
        (Self::ContactsWrite, "contacts:write"),
        (Self::ContactsDelete, "contacts:delete"),
        (Self::ContactsMerge, "contacts:merge"),
        (Self::Import, "import"),
        (Self::Export, "export"),
        (Self::Documents, "documents"),
        (Self::Followups, "followups"),
        (Self::Privacy, "privacy"),
        (Self::Audit, "audit"),
        (Self::Mail, "mail"),
        (Self::Users, "users"),
        (Self::Settings, "settings"),
        (Self::Admin, "admin"),
    ];

    /// The permission with that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(permission, _)| *permission)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// Those that these words name; words that are none are passed by. Who has `admin` has all.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let set = words.into_iter().filter_map(Permission::parse).fold(0, |set, one| set | bit(one));
        if set & bit(Permission::Admin) == 0 { Self(set) } else { Self::ALL }
    }

    /// Whether the permission is among them.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// The words of those in it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Permission::ALL.into_iter().filter(move |(permission, _)| self.has(*permission)).map(|(_, word)| word)
    }

    /// What both sets have.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The first permission that `self` has and `other` has not.
    pub fn beyond(self, other: Self) -> Option<Permission> {
        let all = Permission::ALL.iter().map(|(permission, _)| *permission);
        all.into_iter().find(|one| self.has(*one) && !other.has(*one))
    }
}

fn bit(permission: Permission) -> u16 {
    1 << (permission as u8)
}

/// The words that an app password may have; none given is all of DAV.
pub const DAV_SCOPES: [&str; 6] = [
    "dav:contacts",
    "dav:contacts:read",
    "dav:calendars",
    "dav:calendars:read",
    "dav:documents",
    "dav:documents:read",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_permissions_are_one_to_one() {
        for (permission, word) in Permission::ALL {
            assert_eq!(Permission::parse(word), Some(permission));
            assert_eq!(permission.word(), word);
            assert!(Permissions::of([word]).has(permission));
        }
        assert_eq!(Permission::parse("dav:contacts"), None);
    }

    #[test]
    fn sets_intersect_and_admin_is_all() {
        let some = Permissions::of(["users", "export", "nonsense"]);
        assert!(some.has(Permission::Users) && !some.has(Permission::Import));
        assert_eq!(Permissions::of(["admin"]), Permissions::ALL);
        assert_eq!(some.and(Permissions::of(["users"])), Permissions::of(["users"]));
        assert_eq!(some.beyond(Permissions::of(["export"])), Some(Permission::Users));
        assert_eq!(some.beyond(Permissions::ALL), None);
    }
}
