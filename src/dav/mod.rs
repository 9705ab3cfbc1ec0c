//! WebDAV, its access control, CardDAV and CalDAV: requests become use cases, what they answer becomes
//! XML. Knows no store and no connection. RFC 4918, 3744, 4791, 5397, 5689, 6352, 6578; `METHODS`,
//! `props::PROPS` and `reports::REPORTS` say what there is.

mod accept;
mod calendar;
mod collection;
mod conditions;
mod export;
mod multistatus;
mod object;
mod prefer;
mod propfind;
mod proppatch;
pub mod props;
pub mod public;
mod refuse;
mod reports;
mod run;
pub mod target;
#[cfg(test)]
mod tests;
mod transfer;
pub mod xml;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::domain::ical::zone::Zone;
use crate::service::Service;
use crate::service::access::{Belongs, Caller, Rights, rights};
use crate::service::place::{Place, Precondition};
use crate::service::refusal::{Fault, Refusal};
use crate::service::view::{Detail, Standing, Verb as Transfer};

use self::conditions::Conditions;
use self::multistatus::Forms;
use self::prefer::Prefer;
use self::propfind::Subject;
use self::props::{Ask, Timezones};
use self::refuse::Trouble;
use self::target::{Kind, Kinds, Located, Target};

/// What answers carry: at once, or piece by piece.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What a handler comes to.
type Outcome = Result<Response<Body>, Trouble>;

/// What this server is (RFC 4918 §18); on every answer, since some clients look nowhere else
/// (DAV-49).
const COMPLIANCE: HeaderValue = HeaderValue::from_static(
    "1, 3, access-control, addressbook, calendar-access, calendar-no-timezone, extended-mkcol",
);
/// The header that says so.
const DAV_HEADER: HeaderName = HeaderName::from_static("dav");

/// How the client reached this server: what its URLs begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// The path prefix of a proxy, `""` or `"/x"`.
    pub prefix: String,
    /// The authority that the client used.
    pub host: Option<String>,
    /// The scheme that the client used.
    pub scheme: &'static str,
}

/// A method: where it is allowed, and whether it needs the right to write there.
struct MethodRow {
    name: &'static str,
    verb: Verb,
    kinds: Kinds,
    writes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Options,
    Propfind,
    Proppatch,
    Mkcol,
    Mkcalendar,
    Report,
    Get,
    Put,
    Delete,
    Copy,
    Move,
    /// Known to HTTP and WebDAV, and not offered.
    None,
}

/// What is made and removed: books and cards, calendars and their objects.
const MEMBERS: Kinds = Kinds::of(&[Kind::Book, Kind::Card, Kind::Calendar, Kind::Event]);
/// Cards and calendar objects.
const OBJECTS: Kinds = Kinds::of(&[Kind::Card, Kind::Event]);

/// Every method that is known; all others are 501. `Allow` and 405 follow from it (HTTP-17).
static METHODS: &[MethodRow] = &[
    MethodRow::reading("OPTIONS", Verb::Options, Kinds::ALL),
    MethodRow::reading("GET", Verb::Get, Kinds::ALL),
    MethodRow::reading("HEAD", Verb::Get, Kinds::ALL),
    MethodRow::writing("PUT", Verb::Put, OBJECTS),
    MethodRow::writing("DELETE", Verb::Delete, MEMBERS),
    MethodRow::reading("COPY", Verb::Copy, MEMBERS),
    MethodRow::writing("MOVE", Verb::Move, MEMBERS),
    MethodRow::reading("PROPFIND", Verb::Propfind, Kinds::ALL),
    MethodRow::reading("REPORT", Verb::Report, Kinds::ALL),
    MethodRow::writing("PROPPATCH", Verb::Proppatch, props::REAL),
    MethodRow::writing("MKCOL", Verb::Mkcol, MEMBERS),
    MethodRow::reading("POST", Verb::None, Kinds::NONE),
    MethodRow::reading("PATCH", Verb::None, Kinds::NONE),
    MethodRow::reading("LOCK", Verb::None, Kinds::NONE),
    MethodRow::reading("UNLOCK", Verb::None, Kinds::NONE),
    MethodRow::reading("ACL", Verb::None, Kinds::NONE),
    MethodRow::writing("MKCALENDAR", Verb::Mkcalendar, MEMBERS),
];

impl MethodRow {
    const fn reading(name: &'static str, verb: Verb, kinds: Kinds) -> Self {
        Self { name, verb, kinds, writes: false }
    }

    const fn writing(name: &'static str, verb: Verb, kinds: Kinds) -> Self {
        Self { name, verb, kinds, writes: true }
    }
}

/// The `Depth` header (RFC 4918 §10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

/// One request, as handlers see it.
struct Exchange<'a> {
    service: &'a Arc<Service>,
    caller: &'a Caller,
    front: &'a Front,
    target: &'a Target,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    body: Bytes,
    prefer: Prefer,
}

impl Exchange<'_> {
    /// The `User-Agent`, for the documented quirks.
    fn agent(&self) -> &str {
        self.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether this client is given cards as they are stored, because it writes 4.0 and reads back
    /// what it wrote (D9).
    fn takes_stored_form(&self) -> bool {
        props::is_thunderbird(self.agent())
    }

    /// What decides in which form reports give cards and objects; with the request's time zone.
    fn forms(&self, zone: Option<Zone>) -> Forms<'_> {
        Forms { agent: self.agent(), zone, timezones: self.timezones() }
    }

    /// What the client wants of VTIMEZONEs (TZ-3).
    fn timezones(&self) -> Timezones {
        match self.headers.get("caldav-timezones").map(|value| value.as_bytes().trim_ascii()) {
            Some(b"T" | b"t") => Timezones::Added,
            Some(b"F" | b"f") => Timezones::LeftOut,
            _ => Timezones::AsStored,
        }
    }

    /// The `Depth` header as it came.
    fn depth(&self) -> Option<&[u8]> {
        self.headers.get("depth").map(HeaderValue::as_bytes)
    }

    /// The `Depth` header; a value that is none is 400 (DAV-11).
    fn depth_or(&self, absent: Depth) -> Result<Depth, Trouble> {
        match self.depth() {
            None => Ok(absent),
            Some(b"0") => Ok(Depth::Zero),
            Some(b"1") => Ok(Depth::One),
            Some(text) if text.eq_ignore_ascii_case(b"infinity") => Ok(Depth::Infinity),
            Some(_) => Err(Trouble::Status(StatusCode::BAD_REQUEST)),
        }
    }

    /// What getters may know.
    fn ask(&self) -> Ask<'_> {
        Ask {
            caller: self.caller,
            limits: self.service.card_limits(),
            calendar: self.service.calendar_limits(),
            front: self.front,
            conversions: self.service.conversions(),
        }
    }

    /// What must hold for a write to `place` to be done.
    fn when(&self, place: &Place) -> Result<Vec<Precondition>, Trouble> {
        Ok(Conditions::of(self.headers, self.front, self.target)?.for_write(place))
    }

    /// Refuses where a precondition of a request that only reads does not hold (DAV-40).
    async fn check(&self) -> Result<(), Trouble> {
        if !self.headers.contains_key("if") {
            return Ok(());
        }
        let conditions = Conditions::of(self.headers, self.front, self.target)?;
        let when = conditions.lists.into_iter().collect();
        match self.service.check(self.caller, when).await? {
            true => Ok(()),
            false => Err(Refusal::Unmet.into()),
        }
    }

    /// The methods that this caller may use here: Evolution takes a book with PUT or DELETE for one
    /// that it may write (B4 #57), so a book that may only be read has neither, though DELETE leaves it.
    async fn allow(&self) -> HeaderValue {
        let Standing { rights, mounted } = self.standing().await;
        let kind = self.target.kind();
        let whole_book = matches!(kind, Some(Kind::Book | Kind::Calendar));
        let offered = |row: &&MethodRow| match row.verb {
            // It makes what is not there, so it is never allowed on what is (DAV-24).
            Verb::Mkcol | Verb::Mkcalendar => false,
            Verb::Proppatch => rights.describe,
            // Where another's book lies is decided by who shares it.
            Verb::Move => rights.write && (rights.owner || !whole_book),
            Verb::Delete => rights.write && (rights.owner || mounted || !whole_book),
            _ => rights.write || !row.writes,
        };
        let mut list = String::with_capacity(96);
        if let Some(kind) = kind {
            for row in METHODS.iter().filter(|row| row.kinds.hold(kind)).filter(offered) {
                if !list.is_empty() {
                    list.push_str(", ");
                }
                list.push_str(row.name);
            }
        }
        HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }

    /// What the caller may do here.
    async fn standing(&self) -> Standing {
        let none = Standing { rights: Rights::NONE, mounted: false };
        let Some(owner) = self.target.owner() else { return none };
        let standing = match self.target {
            Target::Collection(owner, book) | Target::Object(owner, book, _) => {
                // Whoever answers a request that failed does not fail for this.
                self.service.rights_at(self.caller, owner, book).await.ok().flatten()
            }
            _ => None,
        };
        match (standing, self.target) {
            (Some(Standing { rights, mounted }), Target::Object(..)) => {
                Standing { rights: rights.on_members(), mounted }
            }
            (Some(standing), _) => standing,
            (None, Target::Home(home) | Target::Collection(home, _) | Target::Object(home, ..)) => {
                Standing { rights: rights(self.caller, Belongs::Home(home)), ..none }
            }
            (None, _) => Standing { rights: rights(self.caller, Belongs::To(owner)), ..none },
        }
    }
}

/// Answers one request of a signed-in caller. The path has lost the front's prefix and is still
/// percent-encoded.
pub async fn handle(
    service: &Arc<Service>,
    caller: &Caller,
    front: &Front,
    request: Request<Bytes>,
) -> Result<Response<Body>, Fault> {
    let (parts, body) = request.into_parts();
    let located = Target::of_path(parts.uri.path());
    let readable = located.is_ok();
    let Located { target, slash } = located.unwrap_or(Located { target: Target::Unmapped, slash: true });
    let exchange = Exchange {
        service,
        caller,
        front,
        target: &target,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        body,
        prefer: Prefer::of(&parts.headers),
    };
    let outcome = match readable {
        true => dispatch(&exchange, &parts.method).await,
        false => Err(Trouble::Status(StatusCode::BAD_REQUEST)),
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err(trouble) => refuse::answer(trouble, &exchange).await?,
    };
    response.headers_mut().insert(DAV_HEADER, COMPLIANCE);
    if !slash && exchange.target.kind().is_some_and(|kind| !OBJECTS.hold(kind)) {
        content_location(&exchange, &mut response);
    }
    Ok(response)
}

/// Tells the collection's own URL to a client that left its slash away (DAV-7).
fn content_location(exchange: &Exchange<'_>, response: &mut Response<Body>) {
    if response.status().is_success()
        && let Some(href) = exchange.target.href()
        && let Ok(value) = HeaderValue::try_from(format!("{}{href}", exchange.front.prefix))
    {
        response.headers_mut().insert(CONTENT_LOCATION, value);
    }
}

async fn dispatch(exchange: &Exchange<'_>, method: &Method) -> Outcome {
    let Some(row) = METHODS.iter().find(|row| row.name == method.as_str()) else {
        return Err(Trouble::Status(StatusCode::NOT_IMPLEMENTED));
    };
    match exchange.target.kind() {
        None if matches!(row.verb, Verb::Mkcol | Verb::Mkcalendar | Verb::Put) => unnamable(exchange)?,
        None => return Err(Refusal::NotFound.into()),
        Some(kind) if row.kinds.hold(kind) => {}
        // Nobody may, but who asks is told which right is missing (ACL-13).
        Some(Kind::Home | Kind::CalendarHome | Kind::Principal | Kind::Group) if row.verb == Verb::Delete => {
        }
        // Something is there already (CAL-10).
        Some(_) if matches!(row.verb, Verb::Mkcol | Verb::Mkcalendar) => return Err(Refusal::Mapped.into()),
        Some(_) => return Err(Trouble::Status(StatusCode::METHOD_NOT_ALLOWED)),
    }
    if row.writes && is_tied_to_a_schedule(exchange) {
        return Err(Refusal::Unmet.into());
    }
    if is_coded(exchange) {
        return Ok(coded());
    }
    match row.verb {
        Verb::Options => collection::options(exchange).await,
        Verb::Propfind => propfind::propfind(exchange).await,
        Verb::Proppatch => proppatch::proppatch(exchange).await,
        Verb::Mkcol => collection::mkcol(exchange).await,
        Verb::Mkcalendar => collection::mkcalendar(exchange).await,
        Verb::Report => reports::report(exchange).await,
        Verb::Get => {
            // A collection's page tells nothing, but only of what is there (DAV-25).
            if !matches!(exchange.target, Target::Object(..)) {
                Subject::read(exchange, exchange.target, Detail::default(), false).await?;
            }
            match exchange.target {
                Target::Collection(home, name) if export::is_asked(exchange) => {
                    export::export(exchange, home, name).await
                }
                target => object::get(exchange, target).await,
            }
        }
        Verb::Put => object::put(exchange, exchange.target, exchange.body.clone()).await,
        Verb::Delete => object::delete(exchange, exchange.target).await,
        Verb::Copy => transfer::transfer(exchange, exchange.target, Transfer::Copy).await,
        Verb::Move => transfer::transfer(exchange, exchange.target, Transfer::Move).await,
        Verb::None => Err(Trouble::Status(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// Whether a write of a calendar object is to be done only if a Schedule-Tag still holds. None is ever
/// given, so it cannot; it is passed over where another condition guards what is there (RFC 6638
/// §8.3; SCHED-7).
fn is_tied_to_a_schedule(exchange: &Exchange<'_>) -> bool {
    let has = |name: &str| exchange.headers.contains_key(name);
    exchange.target.kind() == Some(Kind::Event)
        && has("if-schedule-tag-match")
        && !(has("if-match") || has("if-none-match") || has("if"))
}

/// Whether the body came in a content coding: none is undone here, since a few bytes can become any
/// number.
fn is_coded(exchange: &Exchange<'_>) -> bool {
    let codings = exchange.headers.get_all(CONTENT_ENCODING).iter();
    let mut names = codings.flat_map(|value| value.as_bytes().split(|&b| b == b',')).map(<[u8]>::trim_ascii);
    !exchange.body.is_empty() && names.any(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"))
}

/// 415, and that a body must come as it is (RFC 9110 §8.4, §12.5.3).
fn coded() -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    response
}

/// Refuses a name that no member of a book or home can have (CARD-15): unlike a missing parent,
/// the client cannot mend that.
fn unnamable(exchange: &Exchange<'_>) -> Result<(), Trouble> {
    let path = exchange.path.strip_suffix('/').unwrap_or(exchange.path);
    let parent = path.rsplit_once('/').map(|(parent, _)| parent);
    let parent = parent.and_then(|parent| Target::of_path(parent).ok());
    match parent.map(|parent| parent.target) {
        Some(Target::Home(_) | Target::Collection(..)) => Err(Trouble::Status(StatusCode::FORBIDDEN)),
        _ => Ok(()),
    }
}

/// The answer to a body that is larger than `body_limit` allows (CARD-9, CAL-9).
pub fn too_large(path: &str) -> Response<Body> {
    refuse::too_large(path)
}

/// The largest body that is read for such a request; more is 413 (DAV-48).
pub fn body_limit(method: &Method, _path: &str, service: &Service) -> usize {
    let largest = service.card_limits().bytes.max(service.calendar_limits().bytes);
    match method.as_str() {
        // What is somewhat too large gets its precondition instead (CARD-9, CAL-9).
        "PUT" | "POST" => largest.saturating_mul(2).max(8 << 20),
        // A multiget of 50,000 cards (CARD-53).
        "REPORT" => 16 << 20,
        "PROPFIND" | "PROPPATCH" | "MKCOL" | "MKCALENDAR" => 2 << 20,
        _ => 64 << 10,
    }
}

/// What answers of this server's DAV URLs carry even before anyone is signed in.
pub fn discovery_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(DAV_HEADER, COMPLIANCE);
    let allow = HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND, REPORT");
    headers.insert(ALLOW, allow);
    headers
}

/// A body that is there as a whole.
fn full(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A multistatus (DAV-18) with what it honoured of the client's preferences.
fn multistatus(body: Body, prefer: Prefer) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::MULTI_STATUS;
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    prefer.applied(response.headers_mut());
    response
}
