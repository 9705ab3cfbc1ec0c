//! From a text to a filter, by the grammar of RFC 7644 §3.4.2.2: what an attribute is compared with
//! must be what its path leads to, so that no filter is accepted that can hold for nobody.

use super::lex::{Lexer, Literal};
use super::{DEPTH, LONGEST, Node, Order, Span, SyntaxError, TERMS, Term, Test, Value};
use crate::domain::contact::{Path, Type};
use crate::domain::search::fold;

/// The lists whose objects brackets may ask for, and what a list without brackets is compared by
/// (RFC 7643 §2.4: `value`; an address has none, so any of its texts).
const LISTS: [(&str, &str, &str); 4] = [
    ("emails", "emails.value", "emails.value"),
    ("phones", "phones.value", "phones.value"),
    ("addresses", "addresses.po_box", "addresses.country"),
    ("urls", "urls.value", "urls.value"),
];

const OPERATORS: &str = "an operator is expected: eq, ne, co, sw, ew, gt, ge, lt, le or pr";

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.len() > LONGEST {
        let position = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default().chars().count();
        return Err(SyntaxError { position, what: format!("the filter is longer than {LONGEST} octets") });
    }
    let mut parser = Parser { lexer: Lexer::new(text), terms: 0, depth: 0 };
    let node = parser.any(None)?;
    parser.lexer.skip_space();
    if parser.lexer.peek().is_some() {
        return Err(parser.lexer.error("\"and\", \"or\" or the filter's end is expected"));
    }
    Ok(node)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    terms: usize,
    depth: usize,
}

/// What an attribute leads to.
struct Attribute {
    /// All its values.
    all: Span,
    /// Those that it is compared by, and what they are; an own field may be anything.
    compared: Option<(Span, Option<Type>)>,
}

/// The list in whose brackets an attribute stands.
type Scope = Option<&'static str>;

impl Parser<'_> {
    fn any(&mut self, scope: Scope) -> Result<Node, SyntaxError> {
        let mut nodes = vec![self.all(scope)?];
        while self.lexer.keyword("or") {
            nodes.push(self.all(scope)?);
        }
        Ok(one_of(nodes, Node::Any))
    }

    fn all(&mut self, scope: Scope) -> Result<Node, SyntaxError> {
        let mut nodes = vec![self.one(scope)?];
        while self.lexer.keyword("and") {
            nodes.push(self.one(scope)?);
        }
        Ok(one_of(nodes, Node::All))
    }

    fn one(&mut self, scope: Scope) -> Result<Node, SyntaxError> {
        self.lexer.skip_space();
        if self.lexer.peek() == Some('(') {
            return self.enclosed(scope, ')', "a closing parenthesis is expected");
        }
        if self.lexer.keyword("not") {
            self.lexer.skip_space();
            if self.lexer.peek() != Some('(') {
                return Err(self.lexer.error("an opening parenthesis is expected after \"not\""));
            }
            let node = self.enclosed(scope, ')', "a closing parenthesis is expected")?;
            return Ok(Node::Not(Box::new(node)));
        }
        self.expression(scope)
    }

    /// What stands between the bracket that comes next and the one that closes it.
    fn enclosed(&mut self, scope: Scope, close: char, else_say: &str) -> Result<Node, SyntaxError> {
        if self.depth == DEPTH {
            return Err(self.lexer.error(&format!("the filter is nested deeper than {DEPTH} levels")));
        }
        self.depth += 1;
        self.lexer.skip();
        let node = self.any(scope)?;
        self.lexer.skip_space();
        if self.lexer.peek() != Some(close) {
            return Err(self.lexer.error(else_say));
        }
        self.lexer.skip();
        self.depth -= 1;
        Ok(node)
    }

    fn expression(&mut self, scope: Scope) -> Result<Node, SyntaxError> {
        let start = self.lexer.at();
        let name = self.lexer.word();
        if self.lexer.peek() == Some('[') && scope.is_none() {
            let list = LISTS.iter().find(|(list, ..)| list.eq_ignore_ascii_case(name));
            let Some((list, span)) = list.and_then(|(list, ..)| Some((*list, Span::below(list)?))) else {
                return Err(self.lexer.error("brackets follow emails, phones, addresses and urls only"));
            };
            let node = self.enclosed(Some(list), ']', "a closing bracket is expected")?;
            return Ok(Node::Within(span, Box::new(node)));
        }
        let attribute = attribute(name, scope).map_err(|what| self.lexer.error_at(start, &what))?;
        self.terms += 1;
        if self.terms > TERMS {
            return Err(self.lexer.error_at(start, &format!("the filter has more than {TERMS} comparisons")));
        }
        self.lexer.skip_space();
        let at = self.lexer.at();
        let operator = self.lexer.word().to_ascii_lowercase();
        let Some(operator) = Operator::parse(&operator) else {
            return Err(self.lexer.error_at(at, OPERATORS));
        };
        if operator == Operator::Present {
            return Ok(term(attribute.all, Test::Present));
        }
        let Some((span, kind)) = attribute.compared else {
            return Err(self.lexer.error_at(at, "this attribute has others below it, and takes \"pr\" only"));
        };
        self.lexer.skip_space();
        let behind = self.lexer.at();
        let literal = self.lexer.literal()?;
        compared(attribute.all, span, kind, operator, literal).map_err(|wrong| match wrong {
            Wrong::Operator(what) => self.lexer.error_at(at, what),
            Wrong::Literal(what) => self.lexer.error_at(behind, what),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Present,
    NotEqual,
    Contains,
    Starts,
    Ends,
    Order(Order),
}

impl Operator {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pr" => Self::Present,
            "eq" => Self::Order(Order::Equal),
            "ne" => Self::NotEqual,
            "co" => Self::Contains,
            "sw" => Self::Starts,
            "ew" => Self::Ends,
            "gt" => Self::Order(Order::Greater),
            "ge" => Self::Order(Order::GreaterOrEqual),
            "lt" => Self::Order(Order::Less),
            "le" => Self::Order(Order::LessOrEqual),
            _ => return None,
        })
    }

    fn is_equality(self) -> bool {
        matches!(self, Self::NotEqual | Self::Order(Order::Equal))
    }
}

/// What is wrong with a comparison.
enum Wrong {
    Operator(&'static str),
    Literal(&'static str),
}

fn attribute(name: &str, scope: Scope) -> Result<Attribute, String> {
    if name.is_empty() {
        return Err("an attribute is expected".to_owned());
    }
    if name.contains(':') {
        return Err("attributes have no schema before them here".to_owned());
    }
    let full = scope.map_or_else(|| name.to_owned(), |list| format!("{list}.{name}"));
    if let Some(path) = Path::parse(&full) {
        let all = Span::of(&path);
        return Ok(Attribute { compared: Some((all.clone(), path.kind())), all });
    }
    let Some(all) = Span::below(&full) else {
        let shown: String = name.chars().take(64).collect();
        return Err(format!("there is no attribute {shown} here"));
    };
    let list = LISTS.iter().find(|(list, ..)| list.eq_ignore_ascii_case(&full));
    let compared = list.map(|(_, first, last)| (Span::between(first, last), Some(Type::Text)));
    Ok(Attribute { all, compared })
}

/// A comparison with a literal; `null` is what is not there.
fn compared(
    all: Span,
    span: Span,
    kind: Option<Type>,
    operator: Operator,
    literal: Literal,
) -> Result<Node, Wrong> {
    const EQUALITY: Wrong = Wrong::Operator("only eq, ne and pr are possible here");
    let order = match operator {
        Operator::Order(order) => order,
        Operator::NotEqual => {
            let equal = compared(all, span, kind, Operator::Order(Order::Equal), literal)?;
            return Ok(not(equal));
        }
        Operator::Contains | Operator::Starts | Operator::Ends => return part(span, kind, operator, literal),
        Operator::Present => return Ok(term(all, Test::Present)),
    };
    let equality = operator.is_equality();
    let value = match (kind, literal) {
        (_, Literal::Null) if equality => return Ok(not(term(all, Test::Present))),
        (_, Literal::Null) => return Err(EQUALITY),
        // The API shows a text that is not there as an empty one.
        (Some(Type::Text) | None, Literal::Text(text)) if equality && text.is_empty() => {
            return Ok(not(term(span, Test::Present)));
        }
        (Some(Type::Text) | None, Literal::Text(text)) => Value::Text(fold(&text)),
        (Some(Type::Bool) | None, Literal::Bool(_)) if !equality => return Err(EQUALITY),
        // A flag of every contact that is not set is false.
        (Some(Type::Bool), Literal::Bool(false)) => {
            return Ok(not(term(span, Test::Is(Order::Equal, Value::Bool(true)))));
        }
        (Some(Type::Bool) | None, Literal::Bool(value)) => Value::Bool(value),
        (Some(Type::Number) | None, Literal::Number(number)) => Value::Number(number),
        (Some(Type::Time), Literal::Text(text)) => {
            let time = "a time (2027-01-31T12:00:00Z) or a date (2027-01-31) is expected here";
            let (from, until) = time_of(&text).ok_or(Wrong::Literal(time))?;
            Value::Time(from, until)
        }
        (Some(kind @ (Type::Account | Type::Contact | Type::Book)), Literal::Text(name)) => {
            if !equality {
                return Err(EQUALITY);
            }
            Value::Name(kind, name)
        }
        (Some(kind), _) => return Err(Wrong::Literal(expected(kind))),
    };
    Ok(term(span, Test::Is(order, value)))
}

/// A comparison with a part of a text.
fn part(span: Span, kind: Option<Type>, operator: Operator, literal: Literal) -> Result<Node, Wrong> {
    if kind.is_some_and(|kind| kind != Type::Text) {
        return Err(Wrong::Operator("co, sw and ew are possible for texts only"));
    }
    let Literal::Text(text) = literal else {
        return Err(Wrong::Literal(expected(Type::Text)));
    };
    let folded = fold(&text);
    let test = match operator {
        Operator::Starts => Test::Starts(folded),
        Operator::Ends => Test::Ends(folded),
        _ => Test::Contains(Box::new(memchr::memmem::Finder::new(&folded).into_owned())),
    };
    Ok(term(span, test))
}

fn expected(kind: Type) -> &'static str {
    match kind {
        Type::Text => "a text in double quotes is expected here",
        Type::Bool => "true or false is expected here",
        Type::Time => "a time or a date in double quotes is expected here",
        Type::Number => "a number is expected here",
        Type::Account => "the name of a user in double quotes is expected here",
        Type::Contact => "a contact's number or id in double quotes is expected here",
        Type::Book => "a book, as \"OWNER/NAME\", is expected here",
    }
}

/// A moment (RFC 3339), or a day in UTC: from when until when, in microseconds since 1970.
fn time_of(text: &str) -> Option<(i64, i64)> {
    if let Some(date) = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10) {
        let start = |date: jiff::civil::Date| {
            date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_microsecond())
        };
        return Some((start(date)?, date.tomorrow().ok().and_then(start).unwrap_or(i64::MAX)));
    }
    let at = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    Some((at, at.saturating_add(1)))
}

fn term(at: Span, test: Test) -> Node {
    Node::Term(Term { at, test })
}

fn not(node: Node) -> Node {
    match node {
        Node::Not(inner) => *inner,
        node => Node::Not(Box::new(node)),
    }
}

/// The only node, or all of them together.
fn one_of(mut nodes: Vec<Node>, together: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        last => {
            nodes.extend(last);
            together(nodes)
        }
    }
}
