//! `/calendars`: calendars by their owner's name and their own. What is done with them as with books is
//! in `books.rs` and `shares.rs`.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ical::{self, Components};
use crate::domain::id::{CollectionKind, MemberName, Principal};
use crate::service::library::{BookView, NewBook as Wanted};

use super::body::{Fields, Read};
use super::books::{self, Kind, chosen, created, owner_of};
use super::shares::{self, Share};
use super::{Ask, Outcome, there};

/// A calendar.
#[derive(Serialize, ToSchema)]
pub struct Calendar {
    /// The calendar's id, which stays when its name does not.
    #[schema(format = Uuid)]
    id: String,
    /// `personal` (a user's) or `shared` (a group's).
    kind: &'static str,
    /// What it takes, of `VEVENT`, `VTODO`, `VJOURNAL` and `VAVAILABILITY`; it stays so.
    components: Vec<&'static str>,
    /// Its name in its owner's home.
    name: String,
    /// Whose it is: a user's name, or `group:` and a group's.
    owner: String,
    /// It is its owner's alone.
    private: bool,
    /// It is the one that the first sign-in made for appointments.
    default: bool,
    /// What you may do with its entries: `read` or `write`; `none` with others' that you only keep the settings of.
    access: &'static str,
    /// Who beside its owner may use it; told to those who may change that.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<Vec<Share>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A calendar that is to be made.
#[derive(ToSchema)]
pub struct NewCalendar {
    /// `personal` (a user's, the usual) or `shared` (a group's).
    #[schema(value_type = Option<String>)]
    kind: Option<Kind>,
    /// What it is to take, of `VEVENT`, `VTODO`, `VJOURNAL` and `VAVAILABILITY`; `VEVENT` alone where left
    /// out. Apple's Reminders expects tasks in a calendar of their own.
    #[schema(value_type = Option<Vec<String>>)]
    components: Components,
    /// Its name.
    #[schema(value_type = String)]
    name: Option<MemberName>,
    /// Whose it is to be: a user's name, or `group:` and a group's; yours where left out.
    #[schema(value_type = Option<String>)]
    owner: Option<Principal>,
    /// It is its owner's alone.
    #[schema(value_type = Option<bool>)]
    private: bool,
    /// Who beside its owner may use it.
    #[schema(value_type = Option<Vec<Share>>)]
    shares: Vec<Share>,
}

impl Read for NewCalendar {
    fn read(fields: &mut Fields) -> Self {
        let kind = fields.optional("kind", |kind| match kind {
            "personal" => Ok(Kind::Personal),
            "shared" => Ok(Kind::Shared),
            _ => Err("a calendar is personal or shared".to_owned()),
        });
        Self {
            kind,
            components: components(fields),
            name: fields.parsed("name", books::name),
            owner: fields.optional("owner", books::owner),
            private: fields.switch("private", Some(false)),
            shares: fields.objects("shares"),
        }
    }
}

/// What a calendar is to take: appointments, as the calendars that phones make, where nobody says.
fn components(fields: &mut Fields) -> Components {
    let said = fields.is_list("components");
    let kinds = fields.list("components", |word| {
        let kind = ical::Kind::parse(word);
        kind.ok_or_else(|| "a calendar takes VEVENT, VTODO, VJOURNAL and VAVAILABILITY".to_owned())
    });
    match (said, kinds.is_empty()) {
        (false, _) => Components::of(&[ical::Kind::Event]),
        (true, true) => {
            fields.wrong("components", "a calendar takes something");
            Components::NONE
        }
        (true, false) => Components::of(&kinds),
    }
}

impl From<&BookView> for Calendar {
    fn from(calendar: &BookView) -> Self {
        Self {
            id: calendar.id.to_string(),
            kind: books::kind(calendar),
            components: calendar.components.kinds().map(ical::Kind::word).collect(),
            name: calendar.name.as_str().to_owned(),
            owner: calendar.owner.written(),
            private: calendar.private,
            default: calendar.default,
            access: calendar.access.map_or("none", shares::word),
            shares: books::shares(calendar),
            created_at: calendar.created,
        }
    }
}

/// `POST /calendars`
pub async fn create(ask: &Ask) -> Outcome {
    let new: NewCalendar = ask.body()?;
    let owner = owner_of(ask, new.owner, new.kind, CollectionKind::Calendar)?;
    let (name, shares) = (there(new.name)?, chosen(new.shares)?);
    let wanted = Wanted { owner, name, components: new.components, private: new.private, shares };
    created(ask, &ask.service.create_library_book(&ask.caller, wanted).await?)
}
