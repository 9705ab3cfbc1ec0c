//! Where a directory keeps what: its attributes by what they mean to us.

use std::collections::BTreeMap;

use super::Kind;

/// What an attribute means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "their names are those of the keys of [ldap.attributes]")]
pub enum Field {
    Id,
    Name,
    DisplayName,
    Given,
    Family,
    Email,
    PhoneWork,
    PhoneMobile,
    PhoneHome,
    PhoneFax,
    Title,
    Organization,
    Department,
    Manager,
    Photo,
    Member,
    GroupName,
    GroupDisplayName,
    GroupEmail,
}

use Field::*;

/// Every field: its key, and its attributes in OpenLDAP and in Active Directory.
const FIELDS: [(Field, &str, &str, &str); 19] = [
    (Id, "id", "entryUUID", "objectGUID"),
    (Name, "name", "uid", "sAMAccountName"),
    (DisplayName, "display_name", "displayName,cn", "displayName,cn"),
    (Given, "given", "givenName", "givenName"),
    (Family, "family", "sn", "sn"),
    (Email, "email", "mail", "mail"),
    (PhoneWork, "phone_work", "telephoneNumber", "telephoneNumber"),
    (PhoneMobile, "phone_mobile", "mobile", "mobile"),
    (PhoneHome, "phone_home", "homePhone", "homePhone"),
    (PhoneFax, "phone_fax", "facsimileTelephoneNumber", "facsimileTelephoneNumber"),
    (Title, "title", "title", "title"),
    (Organization, "organization", "o", "company"),
    (Department, "department", "ou,departmentNumber", "department"),
    (Manager, "manager", "manager", "manager"),
    (Photo, "photo", "jpegPhoto", "thumbnailPhoto"),
    (Member, "member", "member,uniqueMember,memberUid", "member"),
    (GroupName, "group_name", "cn", "sAMAccountName,cn"),
    (GroupDisplayName, "group_display_name", "displayName,description", "displayName,description"),
    (GroupEmail, "group_email", "mail", "mail"),
];

/// What only groups have.
const OF_GROUPS: [Field; 5] = [Id, Member, GroupName, GroupDisplayName, GroupEmail];

/// What says that a password is refused there for ever, or the account is switched off.
const STATES: [&str; 3] = ["userAccountControl", "pwdAccountLockedTime", "nsAccountLock"];

impl Field {
    /// The field with that key.
    pub fn named(key: &str) -> Option<Self> {
        FIELDS.iter().find(|(_, name, ..)| *name == key).map(|(field, ..)| *field)
    }
}

/// The attributes of each field: of several the first that has a value counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes(BTreeMap<Field, Vec<String>>);

impl Attributes {
    /// Those that are usual in such a directory.
    pub fn of(kind: Kind) -> Self {
        let split = |names: &str| names.split(',').map(str::to_owned).collect();
        Self(
            FIELDS
                .iter()
                .map(|(field, _, open, active)| match kind {
                    Kind::OpenLdap => (*field, split(open)),
                    Kind::ActiveDirectory => (*field, split(active)),
                })
                .collect(),
        )
    }

    /// The same, but for one field.
    pub fn with(mut self, field: Field, names: Vec<String>) -> Self {
        self.0.insert(field, names);
        self
    }

    /// The attributes of a field.
    pub fn get(&self, field: Field) -> &[String] {
        self.0.get(&field).map_or(&[], Vec::as_slice)
    }

    /// What is asked of entries that are people.
    pub(super) fn of_people(&self) -> Vec<String> {
        let mut names = self.of_fields(|field| field == Id || !OF_GROUPS.contains(&field));
        names.extend(STATES.map(str::to_owned));
        names
    }

    /// What is asked of entries that are groups.
    pub(super) fn of_groups(&self) -> Vec<String> {
        self.of_fields(|field| OF_GROUPS.contains(&field))
    }

    /// What is asked where only ids matter.
    pub(super) fn of_ids(&self) -> Vec<String> {
        self.get(Id).to_vec()
    }

    /// Entries are known by what the directory itself calls them in synchronisation (RFC 4533).
    pub(super) fn follow_entry_uuid(&self) -> bool {
        matches!(self.get(Id), [only] if only.eq_ignore_ascii_case("entryUUID"))
    }

    /// Every field and its attributes, in one order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        self.0.values()
    }

    fn of_fields(&self, wanted: impl Fn(Field) -> bool) -> Vec<String> {
        let mut names: Vec<String> =
            self.0.iter().filter(|(field, _)| wanted(**field)).flat_map(|(_, names)| names.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_key_and_attributes() {
        for kind in [Kind::OpenLdap, Kind::ActiveDirectory] {
            let attributes = Attributes::of(kind);
            for (field, key, ..) in FIELDS {
                assert_eq!(Field::named(key), Some(field));
                assert!(!attributes.get(field).is_empty());
            }
        }
        assert_eq!(Field::named("mail"), None);
    }

    #[test]
    fn people_and_groups_are_asked_for_their_own() {
        let attributes = Attributes::of(Kind::OpenLdap).with(Email, vec!["rfc822Mailbox".to_owned()]);
        let people = attributes.of_people();
        assert!(people.contains(&"rfc822Mailbox".to_owned()) && !people.contains(&"member".to_owned()));
        let groups = attributes.of_groups();
        assert!(groups.contains(&"memberUid".to_owned()) && !groups.contains(&"jpegPhoto".to_owned()));
        assert!(attributes.follow_entry_uuid());
        assert!(!Attributes::of(Kind::ActiveDirectory).follow_entry_uuid());
    }
}
