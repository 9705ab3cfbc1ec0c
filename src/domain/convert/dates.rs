//! BDAY, DEATHDATE, ANNIVERSARY and REV (VC-20, VC-21, VC-23): 4.0 writes ISO 8601 basic forms with
//! parts left out (RFC 6350 §4.3), 3.0 whole extended dates, and Apple puts the year 1604 where no
//! year is known.

use super::super::vcard::Version;
use super::super::vcard::property::Property;
use super::draft::Draft;

/// The year that Apple writes for "no year"; a leap year, so that 29 February exists.
pub(in crate::domain) const NO_YEAR: u16 = 1604;

/// Apple's mark on such a date.
pub(in crate::domain) const OMIT_YEAR: &str = "X-APPLE-OMIT-YEAR";

/// Carries the time of day through 3.0, where iOS drops a birthday that has one (B1 #15).
const TIME: &str = "X-CARDKEEP-TIME";

/// Apple's label of an anniversary.
const ANNIVERSARY_LABEL: &str = "_$!<Anniversary>!$_";

/// A date with parts left out, and a time of day in basic form.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Date {
    year: Option<u16>,
    month: Option<u8>,
    day: Option<u8>,
    time: Option<Time>,
}

/// `102200` and `Z`, `+0200` or nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Time {
    clock: String,
    zone: String,
}

/// BDAY and DEATHDATE.
pub(super) fn date_to_v3(mut property: Property, draft: &mut Draft) {
    extend(&mut property);
    draft.push(property);
}

/// BDAY and DEATHDATE.
pub(super) fn date_to_v4(mut property: Property, draft: &mut Draft) {
    compress(&mut property);
    draft.push(property);
}

/// ANNIVERSARY in 3.0 is a labelled X-ABDATE. Where the group has another label or other members,
/// or the value is no whole date, that would say something else: then it is X-ANNIVERSARY.
pub(super) fn anniversary_to_v3(mut property: Property, draft: &mut Draft) {
    let whole = extend(&mut property);
    if whole && draft.label(&property).is_none() && draft.is_alone(&property) {
        "X-ABDATE".clone_into(&mut property.name);
        draft.push_labelled(property, ANNIVERSARY_LABEL);
    } else {
        "X-ANNIVERSARY".clone_into(&mut property.name);
        draft.push(property);
    }
}

/// ANNIVERSARY in a 3.0 card, as DAVx5 writes it.
pub(super) fn anniversary_to_v4(mut property: Property, draft: &mut Draft) {
    compress(&mut property);
    draft.has.anniversary = Some(property.value.clone());
    draft.push(property);
}

/// X-ANNIVERSARY and its kin. 4.0 allows one ANNIVERSARY: the same date again is left out, another
/// date stays as it is.
pub(super) fn x_anniversary_to_v4(property: Property, draft: &mut Draft) {
    let mut converted = property.clone();
    compress(&mut converted);
    "ANNIVERSARY".clone_into(&mut converted.name);
    match draft.has.anniversary.as_deref().map(|known| parse(known) == parse(&converted.value)) {
        None => {
            draft.has.anniversary = Some(converted.value.clone());
            draft.push(converted);
        }
        Some(true) => {}
        Some(false) => draft.push(property),
    }
}

/// X-ABDATE with Apple's label is the anniversary; any other label is the user's own (VC-31).
pub(super) fn abdate_to_v4(property: Property, draft: &mut Draft) {
    let labelled = draft.label(&property).is_some_and(|label| label.eq_ignore_ascii_case(ANNIVERSARY_LABEL));
    let mut converted = property.clone();
    compress(&mut converted);
    if !labelled || parse(&converted.value).is_none() || !draft.is_alone(&property) {
        return draft.push(property);
    }
    match draft.has.anniversary.as_deref().map(|known| parse(known) == parse(&converted.value)) {
        None => {
            "ANNIVERSARY".clone_into(&mut converted.name);
            draft.has.anniversary = Some(converted.value.clone());
            draft.drop_label(&mut converted);
            draft.push(converted);
        }
        Some(true) => draft.drop_label(&mut converted),
        Some(false) => draft.push(property),
    }
}

/// REV (VC-21). Evolution puts a counter in parentheses behind it; what is no time stays as it is.
pub(super) fn rev(mut property: Property, draft: &mut Draft) {
    let stamp = property.value.split_once('(').filter(|(_, count)| count.ends_with(')'));
    if let Some(date) =
        parse(stamp.map_or(&*property.value, |(stamp, _)| stamp)).filter(|d| d.year.is_some() && d.is_whole())
    {
        let time = date.time.clone().unwrap_or(Time { clock: "000000".to_owned(), zone: "Z".to_owned() });
        let date = Date { time: None, ..date };
        property.take("VALUE");
        property.value = match draft.to {
            Version::V3 => format!("{}T{}", date.extended(), time.extended()),
            Version::V4 => format!("{}T{:0<6}{}", date.basic(), time.clock, time.zone),
        };
    }
    draft.push(property);
}

/// Writes the 3.0 form and tells whether there is one; a text or a part of a date, such as
/// `1985-04`, is a text in 3.0.
fn extend(property: &mut Property) -> bool {
    let date = if property.value_is("text") { None } else { read(property) };
    let Some(mut date) = date.filter(Date::is_whole) else {
        if !property.value.is_empty() {
            property.set("VALUE", "text");
        }
        return false;
    };
    property.take("VALUE");
    property.take(OMIT_YEAR);
    if let Some(time) = date.time.take().filter(|t| !t.is_midnight()) {
        property.set(TIME, format!("{}{}", time.clock, time.zone));
    }
    if date.year.is_none() {
        property.set(OMIT_YEAR, NO_YEAR.to_string());
        date.year = Some(NO_YEAR);
    }
    property.value = date.extended();
    true
}

/// Writes the 4.0 form; what is no date is a text.
fn compress(property: &mut Property) {
    let Some(mut date) = read(property) else {
        if !property.value.is_empty() {
            property.set("VALUE", "text");
        }
        return;
    };
    let time = property.take(TIME).and_then(|time| Time::parse(&time));
    // Outlook's midnight is no time of birth in either version (C #32).
    date.time = date.time.or(time).filter(|time| !time.is_midnight());
    property.take("VALUE");
    property.take(OMIT_YEAR);
    property.value = date.basic();
}

/// Year, month and day, where month and day are known; without the year that only stands for
/// "unknown", as `omitted` may name it.
pub(in crate::domain) fn whole_date(value: &str, omitted: Option<&str>) -> Option<(Option<u16>, u8, u8)> {
    let date = known(value, omitted)?;
    Some((date.year, date.month?, date.day?))
}

/// The date, without its year where that only stands for "unknown" (VC-20, B1 #14).
fn read(property: &Property) -> Option<Date> {
    known(&property.value, property.parameter(OMIT_YEAR))
}

fn known(value: &str, omitted: Option<&str>) -> Option<Date> {
    let mut date = parse(value)?;
    let marked = omitted.and_then(|year| year.trim().parse().ok()).unwrap_or(NO_YEAR);
    if date.is_whole() && (date.year == Some(marked) || date.year == Some(NO_YEAR)) {
        date.year = None;
    }
    Some(date)
}

/// Reads every form that RFC 6350 §4.3 and ISO 8601 extended dates have, and nothing else.
pub(super) fn parse(value: &str) -> Option<Date> {
    let value = value.trim();
    let split = value.split_once(['T', 't']).or_else(|| value.split_once(' '));
    let (day_part, time) = match split {
        Some((date, time)) => (date, Some(Time::parse(time)?)),
        None => (value, None),
    };
    if day_part.len() > 10 || !day_part.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let mut date = calendar(day_part)?;
    let possible =
        date.month.is_none_or(|m| (1..=12).contains(&m)) && date.day.is_none_or(|d| (1..=31).contains(&d));
    date.time = time;
    // A time belongs to a day: RFC 6350 §4.3.3.
    (possible && (date.time.is_none() || date.day.is_some())).then_some(date)
}

/// The date alone. `text` is digits and hyphens.
fn calendar(text: &str) -> Option<Date> {
    let two = |s: &str| if s.len() == 2 { s.parse::<u8>().ok() } else { None };
    let short = |s: &str| if s.len() == 1 { s.parse::<u8>().ok() } else { two(s) };
    if let Some(day) = text.strip_prefix("---") {
        return Some(Date { day: Some(two(day)?), ..Date::default() });
    }
    if let Some(rest) = text.strip_prefix("--") {
        let (month, day) = match rest.split_once('-') {
            Some((month, day)) => (month, Some(day)),
            None => rest.split_at_checked(2).map(|(m, d)| (m, Some(d).filter(|d| !d.is_empty())))?,
        };
        let day = match day {
            Some(day) => Some(two(day)?),
            None => None,
        };
        return Some(Date { month: Some(two(month)?), day, ..Date::default() });
    }
    let (year, rest) = text.split_at_checked(4)?;
    let year = year.parse().ok();
    year?;
    match rest.strip_prefix('-') {
        _ if rest.is_empty() => Some(Date { year, ..Date::default() }),
        Some(rest) => match rest.split_once('-') {
            Some((month, day)) => {
                Some(Date { year, month: Some(short(month)?), day: Some(short(day)?), time: None })
            }
            None => Some(Date { year, month: Some(two(rest)?), ..Date::default() }),
        },
        None => {
            let (month, day) = rest.split_at_checked(2)?;
            Some(Date { year, month: Some(two(month)?), day: Some(two(day)?), time: None })
        }
    }
}

impl Date {
    /// Whether month and day are known.
    fn is_whole(&self) -> bool {
        self.month.is_some() && self.day.is_some()
    }

    /// `1985-04-12`; only for whole dates with a year.
    fn extended(&self) -> String {
        let (year, month, day) =
            (self.year.unwrap_or(NO_YEAR), self.month.unwrap_or(1), self.day.unwrap_or(1));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `19850412`, `--0412`, `1985-04`, `---12` and so on (RFC 6350 §4.3.1).
    fn basic(&self) -> String {
        let mut text = match (self.year, self.month, self.day) {
            (Some(y), Some(m), Some(d)) => format!("{y:04}{m:02}{d:02}"),
            (Some(y), Some(m), None) => format!("{y:04}-{m:02}"),
            (Some(y), None, _) => format!("{y:04}"),
            (None, Some(m), Some(d)) => format!("--{m:02}{d:02}"),
            (None, Some(m), None) => format!("--{m:02}"),
            (None, None, d) => format!("---{:02}", d.unwrap_or(1)),
        };
        if let Some(time) = &self.time {
            text.push('T');
            text.push_str(&time.clock);
            text.push_str(&time.zone);
        }
        text
    }
}

impl Time {
    /// Reads `10:22:00.5+02:00`, `102200Z`, `1022`; parts of a second are dropped, 4.0 has none.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let zone_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
        let (clock, zone) = text.split_at_checked(zone_at)?;
        let clock = clock.split(['.', ',']).next()?.replace(':', "");
        let zone = zone.to_ascii_uppercase().replace(':', "");
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let clock_ok = matches!(clock.len(), 2 | 4 | 6) && digits(&clock);
        let zone_ok = match zone.strip_prefix(['+', '-']) {
            Some(offset) => matches!(offset.len(), 2 | 4) && digits(offset),
            None => zone.is_empty() || zone == "Z",
        };
        (clock_ok && zone_ok).then_some(Self { clock, zone })
    }

    fn is_midnight(&self) -> bool {
        self.clock.bytes().all(|b| b == b'0')
    }

    /// `10:22:00+02:00`.
    fn extended(&self) -> String {
        let pairs = |digits: &str| {
            let bytes: Vec<char> = digits.chars().collect();
            bytes.chunks(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join(":")
        };
        let clock = pairs(&format!("{:0<6}", self.clock));
        match self.zone.split_at_checked(1) {
            Some((sign @ ("+" | "-"), offset)) => format!("{clock}{sign}{}", pairs(&format!("{offset:0<4}"))),
            _ => format!("{clock}{}", self.zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vc_20_every_form_of_a_date_is_read_and_written_in_basic_form() {
        for (written, basic) in [
            ("19850412", "19850412"),
            ("1985-04-12", "19850412"),
            ("1985-4-2", "19850402"),
            ("1985-04", "1985-04"),
            ("1985", "1985"),
            ("--0412", "--0412"),
            ("--04-12", "--0412"),
            ("--04", "--04"),
            ("---12", "---12"),
            ("19850412T102200Z", "19850412T102200Z"),
            ("1985-04-12T10:22:00.25+02:00", "19850412T102200+0200"),
            ("1985-04-12 10:22", "19850412T1022"),
        ] {
            assert_eq!(parse(written).map(|d| d.basic()).as_deref(), Some(basic), "{written}");
        }
        for text in
            ["", "circa 1800", "1985-13-01", "19851", "T10", "1985T10", "--", "2020-01-01Tx", "+985-01-01"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
