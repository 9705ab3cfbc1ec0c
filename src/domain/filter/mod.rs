//! `CARDDAV:filter` (RFC 6352 §10.5): what a query asks of a card, and whether a card answers it.
//! Reads the card's bytes directly; knows no XML.

mod compiled;

pub use compiled::Compiled;

use super::collation::Collation;

/// How conditions combine (RFC 6352 §10.5, §10.5.1); `anyof` when the attribute is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Test {
    /// One condition suffices.
    #[default]
    AnyOf,
    /// Every condition must hold.
    AllOf,
}

/// A whole filter; without property filters it matches every card (CARD-37).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// How the property filters combine.
    pub test: Test,
    /// The property filters.
    pub properties: Vec<PropertyFilter>,
}

/// What is asked of one property (RFC 6352 §10.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyFilter {
    /// The property's name as asked, with `GROUP.` in front where given (CARD-40).
    pub name: String,
    /// What must be true of it.
    pub condition: PropertyCondition,
}

/// What must be true of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyCondition {
    /// There is none (CARD-39).
    NotDefined,
    /// There is one instance for which the conditions hold; none given: it exists (CARD-39, -42).
    Defined {
        /// How `texts` and `parameters` combine on one instance.
        test: Test,
        /// Text matches on the value.
        texts: Vec<TextMatch>,
        /// Conditions on its parameters.
        parameters: Vec<ParameterFilter>,
    },
}

/// What is asked of one parameter (RFC 6352 §10.5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFilter {
    /// The parameter's name.
    pub name: String,
    /// What must be true of it.
    pub condition: ParameterCondition,
}

/// What must be true of a parameter (CARD-43).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterCondition {
    /// The property has none of that name.
    NotDefined,
    /// The property has one.
    Defined,
    /// One of its values matches.
    Matches(TextMatch),
}

/// A text match (RFC 6352 §10.5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMatch {
    /// The text looked for.
    pub text: String,
    /// How texts compare.
    pub collation: Collation,
    /// Where in the value it must be.
    pub kind: MatchKind,
    /// `negate-condition`: the instance's own text must not match (CARD-45).
    pub negate: bool,
}

/// `match-type` (CARD-44); `contains` when the attribute is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatchKind {
    /// The whole value.
    Equals,
    /// Anywhere.
    #[default]
    Contains,
    /// At its beginning.
    StartsWith,
    /// At its end.
    EndsWith,
}
