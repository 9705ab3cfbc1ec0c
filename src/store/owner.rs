//! Whom a data key belongs to. Every object that names a person has a key of its own, so that
//! destroying the key destroys every copy of what it sealed; the owner is how key slots, the ledger
//! of erasures and keyrings name that key. An owner is ids and numbers only, never a name.

use std::fmt;

/// What kind of object a data key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The installation: its hash secrets.
    Installation = 1,
    /// An account: its row and its app passwords.
    Account = 2,
    /// A home or a book: a book's name in its home, its properties; a home's also the properties of
    /// its account's principal.
    Collection = 3,
    /// The names of what a collection lost in one period; the number is the period.
    Names = 4,
    /// A contact: its name, card, earlier bodies, properties; the number counts its keys.
    Contact = 5,
}

/// Whom a data key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The kind of object.
    pub kind: Kind,
    /// The object's id; zero for the installation.
    pub id: [u8; 16],
    /// Which of the object's keys.
    pub number: u32,
}

impl Owner {
    /// How many bytes an owner takes.
    pub const LENGTH: usize = 21;

    /// The installation.
    pub const INSTALLATION: Self = Self { kind: Kind::Installation, id: [0; 16], number: 0 };

    /// An account.
    pub fn account(id: [u8; 16]) -> Self {
        Self { kind: Kind::Account, id, number: 0 }
    }

    /// A home or a book.
    pub fn collection(id: [u8; 16]) -> Self {
        Self { kind: Kind::Collection, id, number: 0 }
    }

    /// The names of what a collection lost in a period.
    pub fn names(collection: [u8; 16], period: u32) -> Self {
        Self { kind: Kind::Names, id: collection, number: period }
    }

    /// A contact, with its first key or a later one.
    pub fn contact(id: [u8; 16], number: u32) -> Self {
        Self { kind: Kind::Contact, id, number }
    }

    /// Kind, id, number (big-endian): sorts by kind, then by object.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let parts = [self.kind as u8].into_iter().chain(self.id).chain(self.number.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (id, number) = rest.split_first_chunk::<16>()?;
        let kind = match kind {
            1 => Kind::Installation,
            2 => Kind::Account,
            3 => Kind::Collection,
            4 => Kind::Names,
            5 => Kind::Contact,
            _ => return None,
        };
        Some(Self { kind, id: *id, number: u32::from_be_bytes(number.try_into().ok()?) })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installation => "the installation",
            Self::Account => "an account",
            Self::Collection => "a collection",
            Self::Names => "removed names",
            Self::Contact => "a contact",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_as_it_was_written() {
        for kind in [Kind::Installation, Kind::Account, Kind::Collection, Kind::Names, Kind::Contact] {
            let owner = Owner { kind, id: *b"0123456789abcdef", number: 7 };
            assert_eq!(Owner::from_bytes(&owner.to_bytes()), Some(owner));
        }
        assert_eq!(Owner::from_bytes(&[9; Owner::LENGTH]), None);
        assert_eq!(Owner::from_bytes(&[5; Owner::LENGTH - 1]), None);
        assert_eq!(Owner::from_bytes(&[5; Owner::LENGTH + 1]), None);
    }
}
