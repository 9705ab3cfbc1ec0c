//! Phone numbers in the form of E.164: country code and number, as dialled from anywhere. Knows the
//! numbering plans; where numbers are kept and looked for is others' business.
//!
//! Only digits reach the tables of the numbering plans, only so many, and only the plans of the
//! region: each plan is dozens of regular expressions, the crate keeps a hundred of them compiled,
//! and numbers of all countries by turns would cost milliseconds each.

use phonenumber::country::Id;
use phonenumber::metadata::DATABASE;

/// The region whose numbers are written without a country code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(Id);

/// A number has at most 15 digits with its country code (E.164 §6.2.1); a prefix stands before it.
const DIALLED: usize = 20;

/// How many digits a number with its country code may have.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 7..=15;

impl Region {
    /// Reads the two capital letters of ISO 3166-1; `None` where no numbering plan is known by them.
    pub fn parse(letters: &str) -> Option<Self> {
        let two = letters.len() == 2 && letters.bytes().all(|octet| octet.is_ascii_uppercase());
        two.then(|| letters.parse().ok().map(Self)).flatten()
    }

    /// The digits of a number in the form of E.164, given what is dialled for it in this region;
    /// `None` where that is no number, or one that is dialled in a part of the region only.
    pub fn e164(self, dialled: &str) -> Option<String> {
        if dialled.len() > DIALLED || !dialled.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let plan = DATABASE.by_id(self.0.as_ref())?;
        let prefix = plan.international_prefix().and_then(|prefix| prefix.find(dialled));
        if let Some(prefix) = prefix.filter(|prefix| prefix.start() == 0)
            && let Some(number) = dialled.get(prefix.end()..).filter(|number| is_international(number))
        {
            // The crate would take the region's trunk prefix off a number of another country.
            return Some(number.to_owned());
        }
        let number = phonenumber::parse(Some(self.0), dialled).ok()?;
        let code = number.country().code();
        (code == plan.country_code() && phonenumber::is_valid(&number))
            .then(|| format!("{code}{}", number.national()))
    }
}

/// Whether the digits begin with a country code, and are as many as such numbers have.
fn is_international(digits: &str) -> bool {
    let codes = (1..=3).filter_map(|length| digits.get(..length)?.parse::<u16>().ok());
    INTERNATIONAL.contains(&digits.len())
        && !digits.starts_with('0')
        && codes.into_iter().any(|code| DATABASE.by_code(&code).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_get_their_country_code() {
        for (region, dialled, e164) in [
            ("DE", "0301234567", Some("49301234567")),
            ("DE", "49301234567", Some("49301234567")),
            ("DE", "0049301234567", Some("49301234567")),
            ("DE", "00390612345678", Some("390612345678")),
            ("DE", "01711234567", Some("491711234567")),
            ("DE", "1234567", None),
            ("DE", "110", None),
            ("DE", "", None),
            ("DE", "00", None),
            ("DE", "000301234567", None),
            ("IT", "0612345678", Some("390612345678")),
            ("HU", "0612345678", Some("3612345678")),
            ("RU", "84951234567", Some("74951234567")),
            ("AR", "0111523456789", Some("5491123456789")),
            ("US", "2125550123", Some("12125550123")),
            ("US", "01149301234567", Some("49301234567")),
            ("AU", "001149301234567", Some("49301234567")),
            ("DO", "2125550123", Some("12125550123")),
            ("DE", "٠٣٠١٢٣٤٥٦٧", None),
            ("DE", "030/1234567", None),
        ] {
            let found = Region::parse(region).unwrap().e164(dialled);
            assert_eq!(found.as_deref(), e164, "{dialled} in {region}");
        }
        for wrong in ["", "D", "de", "De", "DEU", "ZZ", "00", "001", "D\u{c9}", "UK"] {
            assert!(Region::parse(wrong).is_none(), "{wrong}");
        }
    }

    fn regions() -> Vec<Region> {
        let letters = || 'A'..='Z';
        let all = letters().flat_map(|one| letters().map(move |other| format!("{one}{other}")));
        all.filter_map(|both| Region::parse(&both)).collect()
    }

    /// The tables of every region are there, and none of them makes the crate panic.
    #[test]
    fn every_region_has_a_plan() {
        let regions = regions();
        assert!(regions.len() > 200);
        for region in regions {
            let plan = DATABASE.by_id(region.0.as_ref()).unwrap();
            let code = plan.country_code().to_string();
            for number in ["2345678", "00000000", "12345678901234567", "99999999999999999999"] {
                for prefix in ["", "0", "1", "8", "9", "00", "15", "044", &code] {
                    let found = region.e164(&format!("{prefix}{number}"));
                    assert!(found.is_none_or(|found| found.len() < 20), "{region:?}");
                }
            }
        }
    }

    proptest! {
        /// Whatever is given, E.164 is digits with a country code, and stays what it is.
        #[test]
        fn no_text_makes_it_panic(at in 0usize..6, text in "[0-9]{0,24}|0[0-9]{8,11}|\\PC{0,12}|[0-9+();x# ]{0,40}") {
            let region = Region::parse(["DE", "US", "AR", "IT", "BR", "CN"][at]).unwrap();
            if let Some(e164) = region.e164(&text) {
                prop_assert!(e164.bytes().all(|octet| octet.is_ascii_digit()) && !e164.starts_with('0'));
                prop_assert!(e164.len() <= DIALLED);
            }
        }
    }
}
