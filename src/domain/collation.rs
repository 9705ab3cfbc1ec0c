//! The collations that text matches name (RFC 4790, RFC 5051): `i;octet`, `i;ascii-casemap`,
//! `i;unicode-casemap`.

/// A collation that filters may ask for (CARD-24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collation {
    /// `i;octet`: the bytes as they are.
    Octet,
    /// `i;ascii-casemap`: ASCII letters without their case.
    AsciiCasemap,
    /// `i;unicode-casemap` (RFC 5051), the default (CARD-25).
    UnicodeCasemap,
}

impl Collation {
    /// Every collation, in the order that `supported-collation-set` lists them (CARD-27).
    pub const ALL: [Self; 3] = [Self::AsciiCasemap, Self::UnicodeCasemap, Self::Octet];

    /// The collation's registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Octet => "i;octet",
            Self::AsciiCasemap => "i;ascii-casemap",
            Self::UnicodeCasemap => "i;unicode-casemap",
        }
    }

    /// The collation of that name, `default` included; `None` where it is not supported (CARD-26).
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::UnicodeCasemap),
            _ => Self::ALL.into_iter().find(|c| c.name() == name),
        }
    }
}
