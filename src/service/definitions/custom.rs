//! Values of the admin's own fields: whether they are of the field's type, and the one form in which
//! each is kept. Knows no JSON; whoever reads it says what it met.

use jiff::civil::Date;

use crate::domain::contact::{Custom, CustomValue, Kind};
use crate::domain::id::CollectionId;

use super::{Field, FieldKind, LaidDown};

crate::hidden!(Value);

/// A value as it was given.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: the field is to be empty.
    Nothing,
    /// A text.
    Text(String),
    /// A number, as it was written.
    Number(String),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
    /// Something that no field holds.
    Other,
}

/// What is wrong: a JSON pointer, and why.
pub type Wrong = (String, String);

/// The longest text, in octets.
const LONGEST: usize = 4 << 10;
/// The longest address.
const LONGEST_LINK: usize = 2 << 10;
/// The most digits of a number, leading and trailing zeros not counted.
const DIGITS: usize = 100;

impl From<&CustomValue> for Value {
    fn from(value: &CustomValue) -> Self {
        match value {
            CustomValue::Text(text) => Self::Text(text.clone()),
            CustomValue::Number(number) => Self::Number(number.clone()),
            CustomValue::Bool(value) => Self::Bool(*value),
            CustomValue::List(list) => Self::List(list.iter().cloned().map(Self::Text).collect()),
        }
    }
}

impl Field {
    /// Whether contacts of that kind in that book have the field.
    pub fn applies(&self, kind: Kind, book: CollectionId) -> bool {
        let kinds = self.applies_to.is_empty() || self.applies_to.contains(&kind);
        kinds && (self.books.is_empty() || self.books.contains(&book))
    }
}

impl LaidDown {
    /// The values that a contact has of own fields once it is given these, each field's at most once,
    /// sorted by key. What it had before may stay as it is, though its field allows it no longer; of
    /// everything that is wrong it is said where.
    pub fn check_custom(
        &self,
        kind: Kind,
        book: CollectionId,
        before: &[Custom],
        given: &[(String, Value)],
    ) -> Result<Vec<Custom>, Vec<Wrong>> {
        let (mut values, mut wrong): (Vec<Custom>, Vec<Wrong>) = Default::default();
        for (key, value) in given.iter().filter(|(_, value)| *value != Value::Nothing) {
            if let Some(same) =
                before.iter().find(|known| known.key == *key && Value::from(&known.value) == *value)
            {
                values.push(same.clone());
                continue;
            }
            let judged = match self.field(key).filter(|field| field.applies(kind, book)) {
                Some(field) => field.judge(value).map_err(|(below, why)| (pointer(key) + &below, why)),
                None => Err((pointer(key), "contacts of this kind in this book have no such field".into())),
            };
            match judged {
                Ok(Some(value)) => values.push(Custom { key: key.clone(), value }),
                Ok(None) => {}
                Err(why) => wrong.push(why),
            }
        }
        let demanded = self.fields.iter().filter(|field| field.required && field.applies(kind, book));
        for field in demanded {
            let at = pointer(&field.key);
            let told = wrong.iter().any(|(known, _)| *known == at || known.starts_with(&format!("{at}/")));
            if !told && !values.iter().any(|value| value.key == field.key) {
                wrong.push((at, "this field must be there".into()));
            }
        }
        values.sort_by(|a, b| a.key.cmp(&b.key));
        values.dedup_by(|a, b| a.key == b.key);
        if wrong.is_empty() { Ok(values) } else { Err(wrong) }
    }
}

/// Where a field's value stands (RFC 6901 §3).
fn pointer(key: &str) -> String {
    format!("/custom/{}", key.replace('~', "~0").replace('/', "~1"))
}

type Judged = Result<Option<CustomValue>, Wrong>;

impl Field {
    /// A value in the form in which it is kept; an empty one is none.
    fn judge(&self, value: &Value) -> Judged {
        match (self.kind, value) {
            (FieldKind::Text, Value::Text(text)) => text_of(text),
            (FieldKind::Number, Value::Number(text) | Value::Text(text)) => match decimal(text) {
                Some(number) => Ok(Some(CustomValue::Number(number))),
                None if text.is_empty() => Ok(None),
                None => no(format!("this must be a number of at most {DIGITS} digits")),
            },
            (FieldKind::Date, Value::Text(text)) => date_of(text),
            (FieldKind::Choice, Value::Text(text)) if text.is_empty() => Ok(None),
            (FieldKind::Choice, Value::Text(text)) => match self.options.contains(text) {
                true => Ok(Some(CustomValue::Text(text.clone()))),
                false => no(NO_OPTION),
            },
            (FieldKind::MultiChoice, Value::List(list)) => self.several(list),
            (FieldKind::YesNo, Value::Bool(value)) => Ok(Some(CustomValue::Bool(*value))),
            (FieldKind::Link, Value::Text(text)) => link_of(text),
            (kind, _) => no(match kind {
                FieldKind::Text | FieldKind::Link => "this must be a text",
                FieldKind::Number => "this must be a number",
                FieldKind::Date => "this must be a date as 2027-01-31",
                FieldKind::Choice => "this must be one of the field's options",
                FieldKind::MultiChoice => "this must be a list of the field's options",
                FieldKind::YesNo => "this must be true or false",
            }),
        }
    }

    fn several(&self, list: &[Value]) -> Judged {
        for (at, one) in list.iter().enumerate() {
            let known = matches!(one, Value::Text(text) if self.options.contains(text));
            if !known {
                return Err((format!("/{at}"), NO_OPTION.into()));
            }
        }
        let chosen = |option: &&String| list.contains(&Value::Text((*option).clone()));
        let chosen: Vec<_> = self.options.iter().filter(chosen).cloned().collect();
        Ok((!chosen.is_empty()).then_some(CustomValue::List(chosen)))
    }
}

const NO_OPTION: &str = "this is none of the field's options";

fn no(why: impl Into<String>) -> Judged {
    Err((String::new(), why.into()))
}

fn text_of(text: &str) -> Judged {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    match text.len() > LONGEST || text.contains(odd) {
        true => no(format!("this must be a text of at most {LONGEST} octets without control characters")),
        false => Ok((!text.is_empty()).then(|| CustomValue::Text(text.to_owned()))),
    }
}

fn date_of(text: &str) -> Judged {
    if text.is_empty() {
        return Ok(None);
    }
    // The parser takes more forms than one.
    match text.parse::<Date>() {
        Ok(date) if date.to_string() == text && date.year() >= 0 => {
            Ok(Some(CustomValue::Text(text.to_owned())))
        }
        _ => no("this must be a date as 2027-01-31"),
    }
}

/// What a browser may open without running anything.
fn link_of(text: &str) -> Judged {
    if text.is_empty() {
        return Ok(None);
    }
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let known =
        ["http", "https", "mailto", "tel"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme));
    let host =
        |rest: &str| rest.strip_prefix("//").is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
    let whole = match known {
        Some("http" | "https") => host(rest),
        Some(_) => !rest.is_empty(),
        None => false,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\');
    match whole && text.len() <= LONGEST_LINK && !text.contains(odd) {
        true => Ok(Some(CustomValue::Text(text.to_owned()))),
        false => no("this must be a link that begins with http://, https://, mailto: or tel:"),
    }
}

/// A number as JSON writes it (RFC 8259 §6), in its shortest form without exponent: `1.50e2` is `150`.
fn decimal(text: &str) -> Option<String> {
    if text.len() > 2 * DIGITS {
        return None;
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, exponent) = match rest.split_once(['e', 'E']) {
        None => (rest, 0),
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
    };
    let (whole, fraction) = match digits.split_once('.') {
        None => (digits, ""),
        Some((_, "")) => return None,
        Some(parts) => parts,
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let zeros = all.bytes().take_while(|b| *b == b'0').count();
    let all = all.trim_matches('0');
    if all.is_empty() {
        return Some("0".into());
    }
    // Where the point stands behind so many of the digits, or before them.
    let point = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()? + i64::from(exponent);
    let most = i64::try_from(DIGITS).ok()?;
    if !(-most..=most).contains(&point) || all.len() > DIGITS {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let number = match usize::try_from(point) {
        Ok(0) => format!("{sign}0.{all}"),
        Err(_) => format!("{sign}0.{}{all}", "0".repeat(usize::try_from(-point).ok()?)),
        Ok(point) => match all.split_at_checked(point) {
            Some((whole, "")) => format!("{sign}{whole}"),
            Some((whole, fraction)) => format!("{sign}{whole}.{fraction}"),
            None => format!("{sign}{all}{}", "0".repeat(point - all.len())),
        },
    };
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOK: CollectionId = CollectionId::from_bytes([1; 16]);
    const OTHER: CollectionId = CollectionId::from_bytes([2; 16]);

    fn field(key: &str, kind: FieldKind) -> Field {
        let options = match kind {
            FieldKind::Choice | FieldKind::MultiChoice => vec!["red".into(), "green".into(), "blue".into()],
            _ => Vec::new(),
        };
        Field { key: key.into(), label: key.into(), kind, options, ..Field::default() }
    }

    fn laid() -> LaidDown {
        let kinds = [
            ("text", FieldKind::Text),
            ("number", FieldKind::Number),
            ("date", FieldKind::Date),
            ("choice", FieldKind::Choice),
            ("multi", FieldKind::MultiChoice),
            ("yes", FieldKind::YesNo),
            ("link", FieldKind::Link),
        ];
        LaidDown { fields: kinds.map(|(key, kind)| field(key, kind)).to_vec(), ..LaidDown::default() }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn check(laid: &LaidDown, given: &[(&str, Value)]) -> Result<Vec<Custom>, Vec<String>> {
        let given: Vec<_> = given.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let checked = laid.check_custom(Kind::Individual, BOOK, &[], &given);
        checked.map_err(|wrong| wrong.into_iter().map(|(pointer, _)| pointer).collect())
    }

    #[test]
    fn values_are_kept_in_one_form() {
        let laid = laid();
        for (key, given, kept) in [
            ("text", text("a\nb"), CustomValue::Text("a\nb".into())),
            ("number", Value::Number("1.50e2".into()), CustomValue::Number("150".into())),
            ("number", text("00012345678901234567890.0"), CustomValue::Number("12345678901234567890".into())),
            ("date", text("2027-01-31"), CustomValue::Text("2027-01-31".into())),
            ("choice", text("green"), CustomValue::Text("green".into())),
            (
                "multi",
                Value::List(vec![text("blue"), text("red"), text("blue")]),
                CustomValue::List(vec!["red".into(), "blue".into()]),
            ),
            ("yes", Value::Bool(false), CustomValue::Bool(false)),
            (
                "link",
                text("HTTPS://example.org/a?b#c"),
                CustomValue::Text("HTTPS://example.org/a?b#c".into()),
            ),
            ("link", text("tel:+491"), CustomValue::Text("tel:+491".into())),
        ] {
            let custom = check(&laid, &[(key, given)]).unwrap();
            assert!(custom == [Custom { key: key.into(), value: kept }], "{key}");
        }
        for empty in
            [("text", text("")), ("number", text("")), ("multi", Value::List(vec![])), ("x", Value::Nothing)]
        {
            assert!(check(&laid, std::slice::from_ref(&empty)).unwrap().is_empty(), "{}", empty.0);
        }
        let both = check(&laid, &[("yes", Value::Bool(true)), ("choice", text("red"))]).unwrap();
        assert_eq!(both.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["choice", "yes"]);
    }

    #[test]
    fn what_is_no_value_is_refused_with_its_place() {
        let laid = laid();
        for (key, given, at) in [
            ("text", Value::Number("1".into()), "/custom/text"),
            ("text", text("a\u{7}"), "/custom/text"),
            ("text", text(&"x".repeat(LONGEST + 1)), "/custom/text"),
            ("number", text("1."), "/custom/number"),
            ("number", text("1e999999999"), "/custom/number"),
            ("number", Value::Bool(true), "/custom/number"),
            ("date", text("2027-02-29"), "/custom/date"),
            ("date", text("2027-01-31T10:00"), "/custom/date"),
            ("date", text("31.01.2027"), "/custom/date"),
            ("choice", text("RED"), "/custom/choice"),
            ("multi", text("red"), "/custom/multi"),
            ("multi", Value::List(vec![text("red"), text("pink")]), "/custom/multi/1"),
            ("multi", Value::List(vec![Value::Bool(true)]), "/custom/multi/0"),
            ("yes", text("true"), "/custom/yes"),
            ("link", text("javascript:alert(1)"), "/custom/link"),
            ("link", text("https:///x"), "/custom/link"),
            ("link", text("http://a b"), "/custom/link"),
            ("link", Value::Other, "/custom/link"),
            ("a/b~", text("x"), "/custom/a~1b~0"),
        ] {
            assert_eq!(check(&laid, &[(key, given)]).err().unwrap(), [at], "{key}");
        }
    }

    #[test]
    fn required_fields_are_demanded_where_they_apply() {
        let mut laid = laid();
        for field in &mut laid.fields {
            field.required = field.key == "text" || field.key == "date";
            if field.key == "date" {
                field.applies_to = vec![Kind::Org];
            }
        }
        assert_eq!(check(&laid, &[]).err().unwrap(), ["/custom/text"]);
        assert_eq!(check(&laid, &[("text", text(""))]).err().unwrap(), ["/custom/text"]);
        assert_eq!(check(&laid, &[("text", Value::Nothing)]).err().unwrap(), ["/custom/text"]);
        assert_eq!(check(&laid, &[("text", Value::Other)]).err().unwrap(), ["/custom/text"], "once");
        assert_eq!(
            check(&laid, &[("text", text("x")), ("date", text("2027-01-31"))]).err().unwrap(),
            ["/custom/date"]
        );
        laid.fields.iter_mut().for_each(|field| field.books = vec![OTHER]);
        assert!(check(&laid, &[]).unwrap().is_empty());
    }

    #[test]
    fn what_was_there_may_stay() {
        let laid = laid();
        let before = [
            Custom { key: "choice".into(), value: CustomValue::Text("yellow".into()) },
            Custom { key: "gone".into(), value: CustomValue::Number("7".into()) },
        ];
        let again: Vec<_> = before.iter().map(|one| (one.key.clone(), Value::from(&one.value))).collect();
        assert!(laid.check_custom(Kind::Individual, BOOK, &before, &again).unwrap() == before);
        let other = [("choice".to_owned(), text("pink")), ("gone".to_owned(), Value::Number("8".into()))];
        assert_eq!(laid.check_custom(Kind::Individual, BOOK, &before, &other).err().unwrap().len(), 2);
        assert!(laid.check_custom(Kind::Individual, BOOK, &before, &[]).unwrap().is_empty());
    }

    #[test]
    fn numbers_have_one_shortest_form() {
        for (given, kept) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("1.50", "1.5"),
            ("-12e-4", "-0.0012"),
            ("0.001", "0.001"),
            ("1e2", "100"),
            ("123.456e1", "1234.56"),
            ("10", "10"),
            ("0.5e1", "5"),
            ("12e-2", "0.12"),
        ] {
            assert_eq!(decimal(given).as_deref(), Some(kept), "{given}");
        }
        for bad in ["", "-", ".5", "1.", "+1", "1e", "0x1", "NaN", "1 ", "1e101", "1e-102", "--1"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_number_in_its_shortest_form_stays(whole in -9_000_000_000i64..9_000_000_000, exponent in -20i32..20) {
            let once = decimal(&format!("{whole}e{exponent}")).unwrap();
            prop_assert_eq!(decimal(&once), Some(once.clone()));
            let (a, b): (f64, f64) = (once.parse().unwrap(), format!("{whole}e{exponent}").parse().unwrap());
            prop_assert_eq!(a.to_bits() << 1, b.to_bits() << 1);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[-0-9.eE+]{0,30}") {
            let laid = laid();
            for field in &laid.fields {
                for value in [Value::Text(text.clone()), Value::Number(text.clone())] {
                    let _ = field.judge(&value);
                }
            }
        }
    }
}
