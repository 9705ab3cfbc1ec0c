//! One content line as a property: group, name, parameters, raw value (RFC 6350 §3.3).
//! Every part keeps its spelling, so that a line nobody touched is written back as it came
//! (VC-4, VC-33). Knows no version and no property by name.

use std::borrow::Cow;

use super::lines::LineView;

/// A logical line: a property, or something that is none and is carried along as it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Line {
    /// A line with a name and a value.
    Property(Property),
    /// A line that does not read as a property.
    Unknown(String),
}

/// A property. `value` is raw: its escapes are still in place.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// What stands before the last dot of the name, as in `item1.EMAIL`.
    pub group: Option<String>,
    /// The name in its original spelling.
    pub name: String,
    /// The parameters in their order.
    pub parameters: Vec<Parameter>,
    /// The value as it stands on the line, still escaped.
    pub value: String,
}

/// A parameter with decoded values. A bare word of vCard 2.1 (`TEL;HOME:`) has an empty name.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    name: String,
    values: Vec<String>,
    raw: Option<String>,
}

/// Bare words that name an encoding and not a type (vCard 2.1 §2.1.3).
const BARE_ENCODINGS: [&str; 4] = ["BASE64", "QUOTED-PRINTABLE", "8BIT", "7BIT"];

impl Line {
    /// Reads one unfolded line without its line break. Octets that are not UTF-8 become U+FFFD;
    /// cards are repaired before they are stored (VC-1), so this is a last resort.
    pub fn parse(line: &[u8]) -> Self {
        let line = match std::str::from_utf8(line) {
            Ok(line) => Cow::Borrowed(line),
            Err(_) => String::from_utf8_lossy(line),
        };
        match Property::parse(&line) {
            Some(property) => Self::Property(property),
            None => Self::Unknown(line.into_owned()),
        }
    }

    /// The property, if this line is one.
    pub fn property(&self) -> Option<&Property> {
        match self {
            Self::Property(property) => Some(property),
            Self::Unknown(_) => None,
        }
    }
}

impl Property {
    /// A property without group and parameters.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { group: None, name: name.to_owned(), parameters: Vec::new(), value: value.into() }
    }

    /// Reads one unfolded line; `None` when it has no name or no colon.
    pub fn parse(line: &str) -> Option<Self> {
        let view = LineView::split(line.as_bytes())?;
        let value = line.get(line.len() - view.value.len()..)?;
        let group = view.group.map(std::str::from_utf8).transpose().ok()?;
        let name = std::str::from_utf8(view.name).ok()?;
        let parameters = std::str::from_utf8(view.parameters).ok()?;
        // `NAME:` has no parameters, `NAME;:` has an empty one: the colon's place tells.
        let has_parameters =
            line.len() > view.value.len() + 1 + name.len() + group.map_or(0, |g| g.len() + 1);
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let is_group = |group: &str| group.bytes().all(|b| is_name(b) || b == b'.');
        if name.is_empty() || !name.bytes().all(is_name) || !group.is_none_or(is_group) {
            return None;
        }
        Some(Self {
            group: group.map(str::to_owned),
            name: name.to_owned(),
            parameters: Pieces { rest: has_parameters.then_some(parameters), separator: b';' }
                .map(Parameter::parse)
                .collect(),
            value: value.to_owned(),
        })
    }

    /// Whether this is the property `name`; names have no case (VC-4).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Every value of every parameter `name`, in order.
    pub fn values_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |p| p.is(name)).flat_map(|p| p.values.iter().map(String::as_str))
    }

    /// The first value of the parameter `name`.
    pub fn parameter<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values_of(name).next()
    }

    /// Whether `VALUE` names this value type; lists such as `BINARY,URI` exist in the wild.
    pub fn value_is(&self, kind: &str) -> bool {
        self.values_of("VALUE").any(|v| v.split(',').any(|v| v.trim().eq_ignore_ascii_case(kind)))
    }

    /// The TYPE values, however they are spelled: `TYPE=a,b`, `TYPE="a,b"`, `TYPE=a;TYPE=b` and the
    /// bare words of 2.1 are equal (VC-16).
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.parameters
            .iter()
            .filter(|p| p.is_type())
            .flat_map(|p| p.values.iter().flat_map(|v| v.split(',')))
            .map(str::trim)
            .filter(|t| !t.is_empty())
    }

    /// Whether the property has this type.
    pub fn has_type(&self, kind: &str) -> bool {
        self.types().any(|t| t.eq_ignore_ascii_case(kind))
    }

    /// Adds a type as a parameter of its own.
    pub fn add_type(&mut self, kind: &str) {
        self.parameters.push(Parameter::new("TYPE", kind));
    }

    /// Removes the types that `unwanted` chooses; other parameters keep their spelling.
    pub fn remove_types(&mut self, mut unwanted: impl FnMut(&str) -> bool) {
        self.parameters.retain_mut(|parameter| {
            if !parameter.is_type() {
                return true;
            }
            let mut kept = Vec::with_capacity(parameter.values.len());
            let mut removed = false;
            for kind in parameter.values.iter().flat_map(|v| v.split(',')) {
                if unwanted(kind.trim()) { removed = true } else { kept.push(kind.to_owned()) }
            }
            if removed && !kept.is_empty() {
                parameter.set(kept);
                return true;
            }
            !removed
        });
    }

    /// Removes every parameter `name` and tells the first value it had.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let mut taken = None;
        self.parameters.retain_mut(|parameter| {
            if !parameter.is(name) {
                return true;
            }
            if taken.is_none() {
                taken = parameter.values.first_mut().map(std::mem::take);
            }
            false
        });
        taken
    }

    /// Makes `value` the only value of the parameter `name`.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.take(name);
        self.parameters.push(Parameter::new(name, value));
    }
}

impl Parameter {
    /// A parameter with one value.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), values: vec![value.into()], raw: None }
    }

    /// The parameters of a line, from what stands between its name and its colon.
    pub fn all(raw: &str) -> impl Iterator<Item = Self> {
        Pieces { rest: (!raw.is_empty()).then_some(raw), separator: b';' }.map(Self::parse)
    }

    /// Reads what stands between two semicolons.
    fn parse(raw: &str) -> Self {
        let (name, values) = raw.split_once('=').unwrap_or(("", raw));
        let values = Pieces { rest: Some(values), separator: b',' }
            .map(|value| {
                let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
                decode(bare).into_owned()
            })
            .collect();
        Self { name: name.trim().to_owned(), values, raw: Some(raw.to_owned()) }
    }

    /// The name in its original spelling; empty for a bare word of 2.1.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values, unquoted and decoded (RFC 6868).
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// The parameter as it came, unless it was changed.
    pub fn raw(&self) -> Option<&str> {
        self.raw.as_deref()
    }

    /// Whether this is the parameter `name`; names have no case (VC-4).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether this is a bare word, as in `TEL;HOME:`.
    pub fn is_bare(&self) -> bool {
        self.name.is_empty()
    }

    /// Whether it is a bare word that names an encoding.
    pub fn is_bare_encoding(&self) -> bool {
        let encoding = |v: &String| BARE_ENCODINGS.iter().any(|e| v.trim().eq_ignore_ascii_case(e));
        self.is_bare() && self.values.iter().any(encoding)
    }

    /// Whether it names types, as `TYPE=` or as a bare word (VC-16).
    pub fn is_type(&self) -> bool {
        self.is("TYPE") || (self.is_bare() && !self.is_bare_encoding())
    }

    /// Replaces the values.
    pub fn set(&mut self, values: Vec<String>) {
        self.values = values;
        self.raw = None;
        if self.name.is_empty() {
            "TYPE".clone_into(&mut self.name);
        }
    }

    /// Gives a bare word its name, or the parameter another one.
    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.raw = None;
    }
}

/// Personal data never shows in debug output: only the structure does.
impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Property(property) => property.fmt(f),
            Self::Unknown(line) => write!(f, "Unknown(… {} octets)", line.len()),
        }
    }
}

/// Personal data never shows in debug output: only the structure does.
impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Property(… {} parameters, {} octets)", self.parameters.len(), self.value.len())
    }
}

/// Personal data never shows in debug output: only the structure does.
impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parameter(… {} values)", self.values.len())
    }
}

/// Decodes `^n`, `^^` and `^'`; a circumflex before anything else stands for itself (RFC 6868 §3.2).
fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('^') {
        return Cow::Borrowed(value);
    }
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        let meant = match (c, rest.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('^')) => '^',
            ('^', Some('\'')) => '"',
            _ => {
                decoded.push(c);
                continue;
            }
        };
        rest.next();
        decoded.push(meant);
    }
    Cow::Owned(decoded)
}

/// The pieces between separators that are not inside quotes. As in [`LineView::split`], a quote
/// opens only where a value begins, and one that is never closed is an ordinary character.
struct Pieces<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let current = self.rest.take()?;
        // In a list of values the first one stands at the very beginning.
        let mut before = if self.separator == b',' { b',' } else { 0 };
        let mut from = 0;
        while let Some(&b) = current.as_bytes().get(from) {
            if b == self.separator {
                self.rest = current.get(from + 1..);
                return current.get(..from);
            }
            if b == b'"' && matches!(before, b'=' | b',') {
                let closing = current.get(from + 1..).and_then(|quoted| quoted.find('"'));
                from += closing.map_or(0, |length| length + 1);
            }
            before = b;
            from += 1;
        }
        Some(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Property {
        Property::parse(line).unwrap()
    }

    #[test]
    fn vc_4_names_have_no_case_and_keep_their_spelling() {
        let email = parse("Item1.eMail;type=Home:a@example.org");
        assert!(email.is("EMAIL") && email.has_type("HOME"));
        assert_eq!((email.group.as_deref(), email.name.as_str()), (Some("Item1"), "eMail"));
    }

    #[test]
    fn vc_15_circumflex_and_quotes_are_decoded() {
        let adr = parse("ADR;LABEL=\"a^nb^^c^'d, e; f: g^x\";X=^:;;;");
        assert_eq!(adr.parameter("label"), Some("a\nb^c\"d, e; f: g^x"));
        assert_eq!(adr.parameter("x"), Some("^"));
        assert_eq!(adr.value, ";;;");
    }

    #[test]
    fn vc_16_all_spellings_of_type_are_equal() {
        for line in
            ["TEL;TYPE=a,b:1", "TEL;TYPE=\"a,b\":1", "TEL;type=a;TYPE=b:1", "TEL;a;b:1", "TEL;a;TYPE=b:1"]
        {
            assert_eq!(parse(line).types().collect::<Vec<_>>(), ["a", "b"], "{line}");
        }
        assert_eq!(parse("PHOTO;JPEG;BASE64:x").types().collect::<Vec<_>>(), ["JPEG"]);
    }

    #[test]
    fn types_can_be_taken_away() {
        let mut tel = parse("TEL;type=pref;TYPE=\"home,PREF\";X=1:1");
        tel.remove_types(|t| t.eq_ignore_ascii_case("pref"));
        assert_eq!(tel.types().collect::<Vec<_>>(), ["home"]);
        assert_eq!(tel.parameter("X"), Some("1"));
    }

    #[test]
    fn lines_that_are_no_properties_are_carried() {
        for line in ["", "garbage", ":x", "two words:x", ";X=1:y", "item1.:x"] {
            assert!(matches!(Line::parse(line.as_bytes()), Line::Unknown(kept) if kept == line), "{line}");
        }
        assert!(matches!(Line::parse(b"NOTE:\xff"), Line::Property(p) if p.value == "\u{fffd}"));
    }

    #[test]
    fn a_quote_that_never_closes_does_not_hide_the_value() {
        let tel = parse("TEL;TYPE=\"home:+1");
        assert_eq!(tel.value, "+1");
    }

    #[test]
    fn debug_output_shows_no_personal_data() {
        let shown = format!("{:?}", Line::parse(b"item1.FN;X=secret:secret"));
        assert!(!shown.contains("secret"));
    }
}
