//! The one map from what went wrong to a status and its `DAV:error` (DAV-42, DAV-43). RFC 4918 §16,
//! RFC 3744 §7.1.1, RFC 6352 §6.3.2.1, RFC 6578 §3.2.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::domain::ical;
use crate::domain::id::{CollectionKind, MemberName};
use crate::domain::vcard::NotAdmitted;
use crate::service::access::Privilege;
use crate::service::place::Place;
use crate::service::refusal::{Fault, Refusal, Stop};

use super::conditions::BadCondition;
use super::props::{BadAddressData, BadCalendarData};
use super::target::{BadHref, Target};
use super::xml::filter::BadFilter;
use super::xml::read::BadXml;
use super::xml::write::Writer;
use super::{Body, Exchange, Front, full, props};

/// A precondition that a request failed, as its element in `DAV:error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `DAV:propfind-finite-depth`
    PropfindFiniteDepth,
    /// `DAV:valid-resourcetype`
    ValidResourceType,
    /// `DAV:resource-must-be-null`
    ResourceMustBeNull,
    /// `DAV:supported-report`
    SupportedReport,
    /// `DAV:valid-sync-token`
    ValidSyncToken,
    /// `DAV:number-of-matches-within-limits`
    NumberOfMatches,
    /// `DAV:sufficient-disk-space` (RFC 4331 §6)
    SufficientDiskSpace,
    /// `CARDDAV:addressbook-collection-location-ok`, `CALDAV:calendar-collection-location-ok`
    CollectionLocation,
    /// `CARDDAV:supported-address-data`
    SupportedAddressData,
    /// `CARDDAV:supported-address-data-conversion`
    SupportedAddressDataConversion,
    /// `CARDDAV:valid-address-data`
    ValidAddressData,
    /// `CARDDAV:max-resource-size`, `CALDAV:max-resource-size`
    MaxResourceSize,
    /// `CARDDAV:supported-collation`, `CALDAV:supported-collation`
    SupportedCollation,
    /// `CARDDAV:supported-filter`, `CALDAV:supported-filter`
    SupportedFilter,
    /// `CALDAV:supported-calendar-data`
    SupportedCalendarData,
    /// `CALDAV:valid-calendar-data`
    ValidCalendarData,
    /// `CALDAV:valid-calendar-object-resource`
    ValidCalendarObject,
    /// `CALDAV:supported-calendar-component`
    SupportedCalendarComponent,
    /// `CALDAV:max-instances`
    MaxInstances,
    /// `CALDAV:max-attendees-per-instance`
    MaxAttendees,
    /// `CALDAV:min-date-time`
    MinDateTime,
    /// `CALDAV:max-date-time`
    MaxDateTime,
    /// `CALDAV:initialize-calendar-collection`
    InitializeCalendar,
    /// `CALDAV:valid-filter`
    ValidFilter,
    /// `CALDAV:valid-timezone`
    ValidTimezone,
}

impl Condition {
    /// Its element, where it is about collections of that kind.
    fn markup(self, kind: CollectionKind) -> &'static str {
        if kind == CollectionKind::Calendar
            && let Some(markup) = self.of_calendars()
        {
            return markup;
        }
        match self {
            Self::PropfindFiniteDepth => "<D:propfind-finite-depth/>",
            Self::ValidResourceType => "<D:valid-resourcetype/>",
            Self::ResourceMustBeNull => "<D:resource-must-be-null/>",
            Self::SupportedReport => "<D:supported-report/>",
            Self::ValidSyncToken => "<D:valid-sync-token/>",
            Self::NumberOfMatches => "<D:number-of-matches-within-limits/>",
            Self::SufficientDiskSpace => "<D:sufficient-disk-space/>",
            Self::CollectionLocation => "<C:addressbook-collection-location-ok/>",
            Self::SupportedAddressData => "<C:supported-address-data/>",
            Self::SupportedAddressDataConversion => "<C:supported-address-data-conversion/>",
            Self::ValidAddressData => "<C:valid-address-data/>",
            Self::MaxResourceSize => "<C:max-resource-size/>",
            Self::SupportedCollation => "<C:supported-collation/>",
            Self::SupportedFilter => "<C:supported-filter/>",
            Self::SupportedCalendarData => "<CAL:supported-calendar-data/>",
            Self::ValidCalendarData => "<CAL:valid-calendar-data/>",
            Self::ValidCalendarObject => "<CAL:valid-calendar-object-resource/>",
            Self::SupportedCalendarComponent => "<CAL:supported-calendar-component/>",
            Self::MaxInstances => "<CAL:max-instances/>",
            Self::MaxAttendees => "<CAL:max-attendees-per-instance/>",
            Self::MinDateTime => "<CAL:min-date-time/>",
            Self::MaxDateTime => "<CAL:max-date-time/>",
            Self::InitializeCalendar => "<CAL:initialize-calendar-collection/>",
            Self::ValidFilter => "<CAL:valid-filter/>",
            Self::ValidTimezone => "<CAL:valid-timezone/>",
        }
    }

    /// Its element where CalDAV has one of its own for what CardDAV has too.
    fn of_calendars(self) -> Option<&'static str> {
        Some(match self {
            Self::CollectionLocation => "<CAL:calendar-collection-location-ok/>",
            Self::MaxResourceSize => "<CAL:max-resource-size/>",
            Self::SupportedCollation => "<CAL:supported-collation/>",
            Self::SupportedFilter => "<CAL:supported-filter/>",
            Self::SupportedAddressData => "<CAL:supported-calendar-data/>",
            _ => return None,
        })
    }
}

/// Why a request is not done.
#[derive(Debug)]
pub enum Trouble {
    /// The use case did not succeed.
    Stop(Stop),
    /// This status says it all.
    Status(StatusCode),
    /// A status and the precondition that failed, of what is kept where the request went.
    Condition(StatusCode, Condition),
    /// The same, of what is kept elsewhere or was to be made.
    About(CollectionKind, StatusCode, Condition),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Stop(Stop::Refused(refusal))
    }
}

impl From<BadCondition> for Trouble {
    fn from(_: BadCondition) -> Self {
        Self::Status(StatusCode::BAD_REQUEST)
    }
}

impl From<BadXml> for Trouble {
    fn from(_: BadXml) -> Self {
        Self::Status(StatusCode::BAD_REQUEST)
    }
}

impl From<BadHref> for Trouble {
    fn from(_: BadHref) -> Self {
        Self::Status(StatusCode::BAD_REQUEST)
    }
}

impl From<BadFilter> for Trouble {
    fn from(bad: BadFilter) -> Self {
        match bad {
            BadFilter::Xml(bad) => bad.into(),
            BadFilter::TooMany => Self::Condition(StatusCode::FORBIDDEN, Condition::SupportedFilter),
            BadFilter::Invalid => Self::Condition(StatusCode::FORBIDDEN, Condition::ValidFilter),
            BadFilter::Timezone => Self::Condition(StatusCode::FORBIDDEN, Condition::ValidCalendarData),
            BadFilter::UnknownTimezone => Self::Condition(StatusCode::FORBIDDEN, Condition::ValidTimezone),
            BadFilter::Collation => Self::Condition(StatusCode::FORBIDDEN, Condition::SupportedCollation),
        }
    }
}

impl From<BadAddressData> for Trouble {
    fn from(_: BadAddressData) -> Self {
        Self::Condition(StatusCode::FORBIDDEN, Condition::SupportedAddressData)
    }
}

impl From<BadCalendarData> for Trouble {
    fn from(_: BadCalendarData) -> Self {
        Self::Condition(StatusCode::FORBIDDEN, Condition::SupportedCalendarData)
    }
}

/// The answer to a request that is not done; our own failures go to whoever logs them.
pub async fn answer(trouble: Trouble, exchange: &Exchange<'_>) -> Result<Response<Body>, Fault> {
    let kind = exchange.target.collection_kind();
    let refusal = match trouble {
        Trouble::Stop(Stop::Failed(fault)) => return Err(fault),
        Trouble::Status(status) => return Ok(bare(status, exchange).await),
        Trouble::Condition(status, failed) => return Ok(condition(status, failed.markup(kind))),
        Trouble::About(kind, status, failed) => return Ok(condition(status, failed.markup(kind))),
        Trouble::Stop(Stop::Refused(refusal)) => refusal,
    };
    let (status, failed) = status_of(&refusal);
    Ok(match (&refusal, failed) {
        (Refusal::NeedPrivileges(missing), _) => need_privileges(missing, exchange.front),
        (Refusal::UidTaken { holder }, _) => uid_taken(holder, exchange),
        (Refusal::Busy { retry_after }, _) => {
            let mut response = bare(status, exchange).await;
            let seconds = HeaderValue::from(retry_after.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
            response
        }
        // Thunderbird lists anew after a 400 and never recovers from a 403 (D3, B3 #44).
        (Refusal::BadToken, Some(failed)) if props::is_thunderbird(exchange.agent()) => {
            condition(StatusCode::BAD_REQUEST, failed.markup(kind))
        }
        (Refusal::Mapped, Some(failed)) => {
            let mut response = condition(status, failed.markup(kind));
            response.headers_mut().insert(ALLOW, exchange.allow().await);
            response
        }
        (_, Some(failed)) => condition(status, failed.markup(kind)),
        (_, None) => bare(status, exchange).await,
    })
}

/// The answer to a body so large that it was not read.
pub fn too_large(path: &str) -> Response<Body> {
    let kind = Target::of_path(path).map_or(CollectionKind::AddressBook, |at| at.target.collection_kind());
    condition(StatusCode::PAYLOAD_TOO_LARGE, Condition::MaxResourceSize.markup(kind))
}

/// Each refusal's status and precondition.
fn status_of(refusal: &Refusal) -> (StatusCode, Option<Condition>) {
    use Condition as C;
    match refusal {
        Refusal::NotFound => (StatusCode::NOT_FOUND, None),
        Refusal::Unmet => (StatusCode::PRECONDITION_FAILED, None),
        Refusal::Mapped => (StatusCode::METHOD_NOT_ALLOWED, Some(C::ResourceMustBeNull)),
        Refusal::WrongPlace => (StatusCode::FORBIDDEN, Some(C::CollectionLocation)),
        Refusal::SamePlace | Refusal::NeedPrivileges(_) | Refusal::NeedPermission(_) => {
            (StatusCode::FORBIDDEN, None)
        }
        Refusal::Wrong { .. } | Refusal::AllWrong(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
        Refusal::Card(NotAdmitted::Version) => (StatusCode::FORBIDDEN, Some(C::SupportedAddressData)),
        Refusal::Card(NotAdmitted::TooLarge) => (StatusCode::FORBIDDEN, Some(C::MaxResourceSize)),
        Refusal::Card(_) => (StatusCode::FORBIDDEN, Some(C::ValidAddressData)),
        Refusal::Object(why) => (StatusCode::FORBIDDEN, Some(of_object(*why))),
        Refusal::BadToken => (StatusCode::FORBIDDEN, Some(C::ValidSyncToken)),
        Refusal::BadLimit => (StatusCode::INSUFFICIENT_STORAGE, Some(C::NumberOfMatches)),
        Refusal::PropertiesFull => (StatusCode::INSUFFICIENT_STORAGE, None),
        Refusal::StoreFull => (StatusCode::INSUFFICIENT_STORAGE, Some(C::SufficientDiskSpace)),
        Refusal::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
        Refusal::NoParent | Refusal::UidTaken { .. } | Refusal::Conflict(_) => (StatusCode::CONFLICT, None),
    }
}

/// The precondition that a calendar object failed (CAL-12).
fn of_object(why: ical::NotAdmitted) -> Condition {
    match why {
        ical::NotAdmitted::Version => Condition::SupportedCalendarData,
        ical::NotAdmitted::NotACalendar | ical::NotAdmitted::TooComplex => Condition::ValidCalendarData,
        ical::NotAdmitted::NotAnObject(_) => Condition::ValidCalendarObject,
        ical::NotAdmitted::Component => Condition::SupportedCalendarComponent,
        ical::NotAdmitted::TooLarge => Condition::MaxResourceSize,
        ical::NotAdmitted::TooManyInstances => Condition::MaxInstances,
        ical::NotAdmitted::TooManyAttendees => Condition::MaxAttendees,
        ical::NotAdmitted::TooEarly => Condition::MinDateTime,
        ical::NotAdmitted::TooLate => Condition::MaxDateTime,
    }
}

/// An answer that is its status alone.
async fn bare(status: StatusCode, exchange: &Exchange<'_>) -> Response<Body> {
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, exchange.allow().await);
    }
    response
}

/// An answer with a `DAV:error`.
fn condition(status: StatusCode, markup: &str) -> Response<Body> {
    let mut out = Writer::document("D:error", markup.len());
    out.raw(markup);
    out.raw("</D:error>");
    let mut response = Response::new(full(out.take()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Each missing right with the resource it is missing on: iOS stops syncing without (ACL-13).
fn need_privileges(missing: &[(Place, Privilege)], front: &Front) -> Response<Body> {
    let mut out = Writer::default();
    out.raw("<D:need-privileges>");
    for (place, privilege) in missing {
        out.raw("<D:resource>");
        href(&Target::from(place), front, &mut out);
        out.raw("<D:privilege><D:");
        out.raw(match privilege {
            Privilege::Read => "read",
            Privilege::WriteContent => "write-content",
            Privilege::WriteProperties => "write-properties",
            Privilege::Bind => "bind",
            Privilege::Unbind => "unbind",
        });
        out.raw("/></D:privilege></D:resource>");
    }
    out.raw("</D:need-privileges>");
    condition(StatusCode::FORBIDDEN, &String::from_utf8_lossy(&out.take()))
}

/// Who has the UID, in the book that was written to: a COPY's and a MOVE's is their destination's.
/// 409, which DAVx5 takes as "the server wins" (D8, CARD-11).
fn uid_taken(holder: &MemberName, exchange: &Exchange<'_>) -> Response<Body> {
    let destination = exchange
        .headers
        .get("destination")
        .and_then(|value| value.to_str().ok())
        .and_then(|href| Target::of_href(exchange.front, exchange.target, href).ok());
    let at = destination.as_ref().unwrap_or(exchange.target);
    let mut out = Writer::default();
    let tag = match at.collection_kind() {
        CollectionKind::AddressBook => "C:no-uid-conflict>",
        CollectionKind::Calendar => "CAL:no-uid-conflict>",
    };
    out.raw("<");
    out.raw(tag);
    if let Target::Object(owner, book, _) = at {
        let holder = Target::Object(owner.clone(), book.clone(), holder.clone());
        href(&holder, exchange.front, &mut out);
    }
    out.raw("</");
    out.raw(tag);
    condition(StatusCode::CONFLICT, &String::from_utf8_lossy(&out.take()))
}

fn href(target: &Target, front: &Front, out: &mut Writer) {
    if let Some(href) = target.href() {
        out.raw("<D:href>");
        out.text(&front.prefix);
        out.plain(href);
        out.raw("</D:href>");
    }
}
