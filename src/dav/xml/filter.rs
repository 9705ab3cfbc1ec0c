//! `CARDDAV:filter` read into the domain's filter. RFC 6352 §10.5, §8.3.

use crate::domain::collation::Collation;
use crate::domain::filter::{
    Filter, MatchKind, ParameterCondition, ParameterFilter, PropertyCondition, PropertyFilter, Test,
    TextMatch,
};

use super::name::Ns;
use super::read::{BadXml, Element};

/// How many conditions a filter may have; each is tried on each card.
const MAX_CONDITIONS: usize = 100;

/// Why a filter is not one that is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// Not a filter by its XML.
    #[error(transparent)]
    Xml(#[from] BadXml),
    /// More conditions than are evaluated (`supported-filter`; CARD-47).
    #[error("the filter has too many conditions")]
    TooMany,
    /// Conditions that do not nest as they must, or times that are none (`valid-filter`; CAL-26).
    #[error("the filter is not valid")]
    Invalid,
    /// A time zone that is none (`valid-calendar-data`; CAL-20).
    #[error("the time zone is not a VTIMEZONE")]
    Timezone,
    /// A name of a time zone that nothing is known of (`valid-timezone`; TZ-6).
    #[error("the time zone is not known")]
    UnknownTimezone,
    /// A collation that is not supported (`supported-collation`; CARD-26).
    #[error("the collation is not supported")]
    Collation,
}

/// Reads the filter.
pub fn filter(element: &Element) -> Result<Filter, BadFilter> {
    let mut conditions = 0;
    let filter = Filter {
        test: test(element)?,
        properties: element
            .elements()
            .filter(|e| e.is(&Ns::Card, "prop-filter"))
            .map(|e| property(e, &mut conditions))
            .collect::<Result<_, _>>()?,
    };
    match conditions > MAX_CONDITIONS {
        true => Err(BadFilter::TooMany),
        false => Ok(filter),
    }
}

fn property(element: &Element, conditions: &mut usize) -> Result<PropertyFilter, BadFilter> {
    *conditions += 1;
    let mut texts = Vec::new();
    let mut parameters = Vec::new();
    let mut undefined = false;
    for child in element.elements().filter(|e| e.ns == Ns::Card) {
        match child.local() {
            "is-not-defined" => undefined = true,
            "text-match" => texts.push(text(child)?),
            "param-filter" => parameters.push(parameter(child)?),
            _ => {}
        }
    }
    *conditions += texts.len() + parameters.len();
    let condition = match (undefined, texts.is_empty() && parameters.is_empty()) {
        (true, true) => PropertyCondition::NotDefined,
        (true, false) => return Err(BadXml::Unexpected.into()),
        (false, _) => PropertyCondition::Defined { test: test(element)?, texts, parameters },
    };
    Ok(PropertyFilter { name: name(element)?, condition })
}

fn parameter(element: &Element) -> Result<ParameterFilter, BadFilter> {
    let undefined = element.child(&Ns::Card, "is-not-defined").is_some();
    let condition = match (undefined, element.child(&Ns::Card, "text-match")) {
        (true, None) => ParameterCondition::NotDefined,
        (true, Some(_)) => return Err(BadXml::Unexpected.into()),
        (false, Some(child)) => ParameterCondition::Matches(text(child)?),
        (false, None) => ParameterCondition::Defined,
    };
    Ok(ParameterFilter { name: name(element)?, condition })
}

fn text(element: &Element) -> Result<TextMatch, BadFilter> {
    Ok(TextMatch {
        text: element.text().into_owned(),
        collation: match element.attribute("collation") {
            None => Collation::UnicodeCasemap,
            Some(name) => Collation::named(name).ok_or(BadFilter::Collation)?,
        },
        kind: match element.attribute("match-type") {
            None | Some("contains") => MatchKind::Contains,
            Some("equals") => MatchKind::Equals,
            Some("starts-with") => MatchKind::StartsWith,
            Some("ends-with") => MatchKind::EndsWith,
            Some(_) => return Err(BadXml::Unexpected.into()),
        },
        negate: match element.attribute("negate-condition") {
            None | Some("no") => false,
            Some("yes") => true,
            Some(_) => return Err(BadXml::Unexpected.into()),
        },
    })
}

fn test(element: &Element) -> Result<Test, BadFilter> {
    match element.attribute("test") {
        None | Some("anyof") => Ok(Test::AnyOf),
        Some("allof") => Ok(Test::AllOf),
        Some(_) => Err(BadXml::Unexpected.into()),
    }
}

fn name(element: &Element) -> Result<String, BadFilter> {
    match element.attribute("name") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(BadXml::Unexpected.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::parse;
    use super::*;

    fn read(inner: &str) -> Result<Filter, BadFilter> {
        let xml = format!("<filter xmlns='urn:ietf:params:xml:ns:carddav'{inner}</filter>");
        filter(&parse(xml.as_bytes()).unwrap())
    }

    #[test]
    fn defaults_are_the_rfc_s() {
        assert_eq!(read(">").unwrap(), Filter::default());
        let got = read("><prop-filter name='FN'><text-match>x</text-match></prop-filter>").unwrap();
        assert_eq!(
            got.properties[0].condition,
            PropertyCondition::Defined {
                test: Test::AnyOf,
                texts: vec![TextMatch {
                    text: "x".into(),
                    collation: Collation::UnicodeCasemap,
                    kind: MatchKind::Contains,
                    negate: false,
                }],
                parameters: vec![],
            }
        );
    }

    #[test]
    fn everything_said_is_read() {
        let got = read(
            " test='allof'><prop-filter name='EMAIL' test='allof'><param-filter name='TYPE'>\
             <text-match collation='i;octet' match-type='equals' negate-condition='yes'>home</text-match>\
             </param-filter></prop-filter><prop-filter name='NOTE'><is-not-defined/></prop-filter>",
        )
        .unwrap();
        assert_eq!(got.test, Test::AllOf);
        assert_eq!(got.properties[1].condition, PropertyCondition::NotDefined);
        let PropertyCondition::Defined { test, parameters, .. } = &got.properties[0].condition else {
            panic!("defined");
        };
        assert_eq!(*test, Test::AllOf);
        assert!(matches!(
            &parameters[0].condition,
            ParameterCondition::Matches(TextMatch {
                collation: Collation::Octet,
                kind: MatchKind::Equals,
                negate: true,
                ..
            })
        ));
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        let one = "><prop-filter name='FN'><text-match collation='i;klingon'>x</text-match></prop-filter>";
        assert_eq!(read(one), Err(BadFilter::Collation));
        for bad in [
            " test='some'>",
            "><prop-filter/>",
            "><prop-filter name='FN'><text-match match-type='like'/></prop-filter>",
            "><prop-filter name='FN'><is-not-defined/><text-match/></prop-filter>",
        ] {
            assert_eq!(read(bad), Err(BadXml::Unexpected.into()), "{bad}");
        }
    }
}
