//! The query of a request: names and values, percent-decoded once, each at most once.

use percent_encoding::percent_decode_str;

use super::problem::{Kind, Problem};

/// A query's parameters.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; `+` is a space, as forms write it.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Problem::parameter(Kind::Unreadable, &name, "this parameter is there twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Refuses parameters that are not among these.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let text = match known {
                    [] => "no parameter is known here".to_owned(),
                    known => format!("this parameter is not known here; there are {}", known.join(", ")),
                };
                Err(Problem::parameter(Kind::Unreadable, name, text))
            }
        }
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A switch: `true`, `false`, or absent, which is false.
    pub fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(Kind::Unreadable, name, "this must be true or false")),
        }
    }
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| Problem::new(Kind::Unreadable, "the query is not UTF-8"))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_once_and_told_apart() {
        let query = Query::parse("a=b+c%2Bd&e&f=%2526").unwrap();
        assert_eq!((query.get("a"), query.get("e"), query.get("f")), (Some("b c+d"), Some(""), Some("%26")));
        assert!(query.only(&["a", "e", "f", "g"]).is_ok());
        assert!(query.only(&["a", "e"]).is_err());
        assert!(Query::parse("a=1&a=2").is_err());
        assert!(Query::parse("a=%ff").is_err());
        assert!(Query::parse("erase=yes").unwrap().switch("erase").is_err());
        assert!(Query::parse("erase=true").unwrap().switch("erase").unwrap());
    }
}
