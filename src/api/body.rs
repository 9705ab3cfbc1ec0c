//! What requests bring: JSON, read once into what it means. What cannot be read is 400 with its
//! place; what can be read and is wrong is 422, every field of it named by its JSON pointer.
//! `PATCH` is a JSON merge patch (RFC 7396) of what `GET` shows.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::problem::{Kind, Problem};

/// The largest body that is read; lists of many members fit.
pub const LIMIT: usize = 1 << 20;
/// The longest text of one field, in bytes.
const LONGEST: usize = 4 << 10;

/// What a body may be sent as.
const JSON: [&str; 1] = ["application/json"];
const PATCH: [&str; 2] = ["application/merge-patch+json", "application/json"];

/// Reads the JSON of a `POST`.
pub fn json(headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    typed(headers, &JSON)?;
    parse(body)
}

/// Reads the merge patch of a `PATCH`.
pub fn patch(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Problem> {
    typed(headers, &PATCH)?;
    match parse(body)? {
        Value::Object(patch) => Ok(patch),
        _ => Err(Problem::wrong(vec![(String::new(), "a merge patch of a resource is an object".into())])),
    }
}

/// Refuses a body that does not say that it is JSON: one from a web page elsewhere cannot say so
/// without being asked first (Fetch §2.2.2).
fn typed(headers: &HeaderMap, takes: &[&str]) -> Result<(), Problem> {
    let coded = headers.get_all(CONTENT_ENCODING).iter();
    if coded.into_iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(Kind::MediaType, "the body comes in a content coding; send it as it is"));
    }
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, parameters) = told.split_once(';').unwrap_or((told, ""));
    let known = takes.iter().any(|known| kind.trim().eq_ignore_ascii_case(known));
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    if !known || charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        let detail = format!("send the body as {} in UTF-8", takes.join(" or "));
        return Err(Problem::new(Kind::MediaType, detail));
    }
    Ok(())
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // The parser's own words would repeat numbers and names that it met.
        let what = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too early",
            _ => "this is not JSON, or too deeply nested",
        };
        let (line, column) = (error.line(), error.column());
        Problem::new(Kind::Unreadable, format!("{what}, at line {line}, column {column}"))
    })
}

/// Applies a merge patch (RFC 7396 §2).
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(&name)),
            value => merge(target.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// The fields that a patch of `shown` leaves, of those that may be written; changing another one is
/// refused, and so is a field that there is not.
pub fn patched(
    shown: &Value,
    patch: Map<String, Value>,
    writable: &[&str],
) -> Result<Map<String, Value>, Problem> {
    let mut errors = Vec::new();
    for (name, value) in &patch {
        if writable.contains(&name.as_str()) || shown.get(name) == Some(value) {
            continue;
        }
        let text = match shown.get(name) {
            Some(_) => "this field cannot be changed",
            None => "there is no such field",
        };
        errors.push((pointer("", name), text.to_owned()));
    }
    if !errors.is_empty() {
        return Err(Problem::wrong(errors));
    }
    let mut merged = shown.clone();
    merge(&mut merged, Value::Object(patch));
    match merged {
        Value::Object(mut merged) => {
            // What is shown as null is not there.
            merged.retain(|name, value| writable.contains(&name.as_str()) && !value.is_null());
            Ok(merged)
        }
        _ => Ok(Map::new()),
    }
}

/// A JSON pointer to a member of what `base` points to (RFC 6901 §3).
fn pointer(base: &str, name: &str) -> String {
    format!("{base}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// What a body's object is read as.
pub trait Read: Sized {
    /// Takes the fields out; what is wrong or missing is noted there.
    fn read(fields: &mut Fields) -> Self;
}

/// Reads a whole body as an object.
pub fn read<T: Read>(value: Value) -> Result<T, Problem> {
    match value {
        Value::Object(map) => read_object(map),
        _ => Err(Problem::wrong(vec![(String::new(), "this must be an object".into())])),
    }
}

/// Reads an object.
pub fn read_object<T: Read>(map: Map<String, Value>) -> Result<T, Problem> {
    let mut errors = Vec::new();
    let read = part(String::new(), map, &mut errors);
    match errors.is_empty() {
        true => Ok(read),
        false => Err(Problem::wrong(errors)),
    }
}

/// How much is told of what is wrong: no more than a person would want to read.
const MOST: usize = 100;

/// Reads an object within a body.
fn part<T: Read>(base: String, map: Map<String, Value>, errors: &mut Vec<(String, String)>) -> T {
    let mut fields = Fields { base, map, errors: std::mem::take(errors) };
    let read = T::read(&mut fields);
    let names: Vec<_> = fields.map.keys().take(MOST).cloned().collect();
    for name in names {
        fields.wrong(&name, "there is no such field");
    }
    *errors = fields.errors;
    read
}

/// The fields of an object that were not read yet.
pub struct Fields {
    base: String,
    map: Map<String, Value>,
    errors: Vec<(String, String)>,
}

impl Fields {
    /// Notes what is wrong with a field.
    pub fn wrong(&mut self, name: &str, text: impl Into<String>) {
        if self.errors.len() < MOST {
            self.errors.push((pointer(&self.base, name), text.into()));
        }
    }

    /// A field's value; null is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A text that may be left out.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.long_text(name, LONGEST)
    }

    /// A text of at most so many bytes that may be left out.
    pub fn long_text(&mut self, name: &str, most: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.len() > most => {
                self.wrong(name, format!("this text is longer than {most} bytes"));
                None
            }
            Value::String(text) => Some(text),
            _ => {
                self.wrong(name, "this must be a text");
                None
            }
        }
    }

    /// A text in one line, without blanks around it; an empty one is none.
    pub fn line(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
            self.wrong(name, "this text holds control characters; write it in one line");
            return None;
        }
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A text in one line of at most so many bytes that must be there.
    pub fn label(&mut self, name: &str, most: usize) -> Option<String> {
        let before = self.errors.len();
        let line = self.line(name);
        match &line {
            None if self.errors.len() == before => self.wrong(name, "this field must be there"),
            Some(line) if line.len() > most => {
                self.wrong(name, format!("this text is longer than {most} bytes"));
            }
            _ => {}
        }
        line
    }

    /// A text that must be there and can be read as something.
    pub fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let before = self.errors.len();
        match self.text(name) {
            Some(text) => parse(&text).map_err(|why| self.wrong(name, why)).ok(),
            None => {
                if self.errors.len() == before {
                    self.wrong(name, "this field must be there");
                }
                None
            }
        }
    }

    /// A text that may be left out and can be read as something.
    pub fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|why| self.wrong(name, why)).ok()
    }

    /// Says what a switch is where it is left out.
    pub fn usual(&mut self, name: &str, switch: bool) {
        self.map.entry(name).or_insert(Value::Bool(switch));
    }

    /// A switch; where it must be there it has no default.
    pub fn switch(&mut self, name: &str, default: Option<bool>) -> bool {
        match (self.take(name), default) {
            (Some(Value::Bool(switch)), _) => return switch,
            (None, Some(default)) => return default,
            (None, None) => self.wrong(name, "this field must be there"),
            (Some(_), _) => self.wrong(name, "this must be true or false"),
        }
        false
    }

    /// A whole number that may be left out.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        let number = self.take(name)?;
        // Beyond this, programs that hold numbers as binary fractions would change it (RFC 8259 §6).
        let exact = |number: &i64| number.unsigned_abs() < 1 << 53;
        let number = number.as_i64().filter(exact);
        if number.is_none() {
            self.wrong(name, "this must be a whole number");
        }
        number
    }

    /// A list of texts, each of which can be read as something.
    pub fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut list = Vec::new();
        for (at, value) in self.values(name).into_iter().enumerate() {
            let read = match &value {
                Value::String(text) if text.len() <= LONGEST => parse(text),
                _ => Err("this must be a text, and not a long one".into()),
            };
            match read {
                Ok(one) => list.push(one),
                Err(why) => self.wrong_at(name, at, why),
            }
        }
        list
    }

    /// A list of objects.
    pub fn objects<T: Read>(&mut self, name: &str) -> Vec<T> {
        let mut list = Vec::new();
        for (at, value) in self.values(name).into_iter().enumerate() {
            match value {
                Value::Object(map) => {
                    let base = format!("{}/{at}", pointer(&self.base, name));
                    list.push(part(base, map, &mut self.errors));
                }
                _ => self.wrong_at(name, at, "this must be an object".into()),
            }
        }
        list
    }

    /// An object.
    pub fn object<T: Read>(&mut self, name: &str) -> Option<T> {
        match self.take(name)? {
            Value::Object(map) => Some(part(pointer(&self.base, name), map, &mut self.errors)),
            _ => {
                self.wrong(name, "this must be an object");
                None
            }
        }
    }

    /// An object whose members anybody may name.
    pub fn map(&mut self, name: &str) -> Map<String, Value> {
        match self.take(name) {
            None => Map::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.wrong(name, "this must be an object");
                Map::new()
            }
        }
    }

    /// A small number.
    pub fn small(&mut self, name: &str) -> Option<u8> {
        let value = self.take(name)?;
        let small = value.as_u64().and_then(|number| u8::try_from(number).ok());
        if small.is_none() {
            self.wrong(name, "this must be a number from 1 to 100");
        }
        small
    }

    /// A field's value as it stands; null is as good as none.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.take(name)
    }

    /// Whether a field is there and a list.
    pub fn is_list(&self, name: &str) -> bool {
        matches!(self.map.get(name), Some(Value::Array(_)))
    }

    /// The names of the fields that were not read yet.
    pub fn names(&self) -> Vec<String> {
        self.map.keys().take(MOST).cloned().collect()
    }

    /// A list of objects, of which one may be written as the text of its most important member.
    pub fn items<T: Read>(&mut self, name: &str, member: &str) -> Vec<T> {
        if let Some(Value::Array(values)) = self.map.get_mut(name) {
            for value in values {
                if value.is_string() {
                    let text = std::mem::take(value);
                    *value = Value::Object(Map::from_iter([(member.to_owned(), text)]));
                }
            }
        }
        self.objects(name)
    }

    /// A field that is shown, and passed over where it is written.
    pub fn shown_only(&mut self, name: &str) {
        self.map.remove(name);
    }

    /// An RFC 3339 time, or a date, whose beginning in UTC it is.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.optional(name, |text| {
            let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
            let time = text.parse::<Timestamp>().ok().or_else(|| Some(day()?.timestamp()));
            time.ok_or_else(|| "write a time as 2027-01-31T12:00:00Z, or a date as 2027-01-31".to_owned())
        })
    }

    fn values(&mut self, name: &str) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(_) => {
                self.wrong(name, "this must be a list");
                Vec::new()
            }
        }
    }

    fn wrong_at(&mut self, name: &str, at: usize, text: String) {
        if self.errors.len() < MOST {
            self.errors.push((format!("{}/{at}", pointer(&self.base, name)), text));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7396, appendix A.
    #[test]
    fn merge_patches_are_those_of_the_rfc() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, result, "{target} with {patch}");
        }
    }

    #[derive(Debug)]
    struct Thing {
        name: Option<String>,
        tags: Vec<String>,
        parts: Vec<Part>,
    }

    #[derive(Debug)]
    struct Part {
        on: bool,
    }

    impl Read for Thing {
        fn read(fields: &mut Fields) -> Self {
            let short =
                |text: &str| if text.len() < 4 { Ok(text.to_owned()) } else { Err("long".to_owned()) };
            Self {
                name: fields.parsed("name", short),
                tags: fields.list("tags", short),
                parts: fields.objects("parts"),
            }
        }
    }

    impl Read for Part {
        fn read(fields: &mut Fields) -> Self {
            Self { on: fields.switch("on", Some(false)) }
        }
    }

    fn pointers(value: Value) -> Vec<String> {
        let problem = read::<Thing>(value).unwrap_err();
        let answer = format!("{problem:?}");
        let mut found: Vec<_> = answer.split("pointer: Some(\"").skip(1).collect();
        found.iter_mut().for_each(|part| *part = part.split('"').next().unwrap());
        found.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let thing: Thing = read(json!({"name": "a", "tags": ["b"], "parts": [{"on": true}]})).unwrap();
        assert_eq!((thing.name.as_deref(), thing.tags.len(), thing.parts[0].on), (Some("a"), 1, true));
        assert_eq!(pointers(json!({})), ["/name"]);
        assert_eq!(pointers(json!({"name": null})), ["/name"]);
        assert_eq!(pointers(json!({"name": 1, "x/~": 1})), ["/name", "/x~1~0"]);
        let wrong = json!({"name": "abcde", "tags": [1, "ok"], "parts": [{}, 3, {"on": 1, "off": 2}]});
        assert_eq!(pointers(wrong), ["/name", "/tags/0", "/parts/1", "/parts/2/on", "/parts/2/off"]);
        assert_eq!(pointers(json!([])), [""]);
    }

    #[test]
    fn of_many_faults_no_more_are_kept_than_are_told() {
        let map = json!({"tags": vec![0; 100_000], "parts": vec![0; 100_000]});
        let Value::Object(map) = map else { panic!() };
        let mut fields = Fields { base: String::new(), map, errors: Vec::new() };
        assert!(fields.list("tags", |text| Ok(text.to_owned())).is_empty());
        assert!(fields.objects::<Part>("parts").is_empty());
        assert_eq!(fields.errors.len(), MOST);
    }

    #[test]
    fn a_patch_changes_what_may_be_changed() {
        let shown = json!({"id": 1, "name": "a", "note": null});
        let patch = |patch: Value| patched(&shown, patch.as_object().unwrap().clone(), &["name", "note"]);
        assert_eq!(patch(json!({"name": "b", "id": 1})).unwrap(), *json!({"name": "b"}).as_object().unwrap());
        assert_eq!(patch(json!({"name": null})).unwrap(), Map::new());
        assert!(patch(json!({"id": 2})).is_err());
        assert!(patch(json!({"other": null})).is_err());
    }

    #[test]
    fn bodies_are_json_and_say_so() {
        let of = |kind: &str, body: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            json(&headers, body).map_err(|problem| problem.answer().status().as_u16())
        };
        assert_eq!(of("application/json; charset=UTF-8", b"{}"), Ok(json!({})));
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
            assert_eq!(of(kind, b"{}"), Err(415), "{kind}");
        }
        for bad in
            [&b""[..], b"{", b"{\"a\":\xff}", b"{}{}", b"\xef\xbb\xbf{}", "[".repeat(10_000).as_bytes()]
        {
            assert_eq!(of("application/json", bad), Err(400));
        }
        assert_eq!(json(&HeaderMap::new(), b"{}").unwrap_err().answer().status(), 415);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
            if let Ok(value) = json(&headers, &body) {
                let _ = read::<Thing>(value.clone());
                let mut target = json!({"a": {"b": [1]}});
                merge(&mut target, value);
            }
        }
    }
}
