//! Contacts and others: copies, companies, links and merging.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::service::office::{
    Company, ContactRef, ContactView, MergeAsked, NumberedContact, RelationKind, Take,
};
use crate::service::refusal::{Refusal, Stop};

use super::super::body::{Fields, Read};
use super::super::page::{Asked, Key, Order};
use super::super::reply::Reply;
use super::super::{Ask, Outcome, ROUNDS, moved, there};
use super::bodies::contact;
use super::list::there as found;
use super::shape::Contact;
use super::written::{AddressRead, EmailRead, PhoneRead, UrlRead};
use super::{made, named, shown};

/// `POST /contacts/{id}/clone`
pub async fn clone(ask: &Ask) -> Outcome {
    match named(ask, "clone").await? {
        Ok(view) => made(ask, &ask.service.clone_contact(&ask.caller, &view).await?),
        Err(elsewhere) => Ok(elsewhere),
    }
}

/// How a lead becomes a contact.
#[derive(ToSchema)]
pub struct Convert {
    /// The company that the contact belongs to: true for a new one, made of the card's organisation, or
    /// the number or id of one.
    #[schema(value_type = Option<Value>)]
    company: Company,
}

impl Read for Convert {
    fn read(fields: &mut Fields) -> Self {
        let company = match fields.value("company") {
            None | Some(Value::Bool(false)) => Company::AsIs,
            Some(Value::Bool(true)) => Company::New,
            Some(Value::String(text)) => Company::Named(text),
            Some(_) => {
                fields.wrong("company", "this must be true, or the number or id of a company");
                Company::AsIs
            }
        };
        Self { company }
    }
}

/// `POST /contacts/{id}/convert`
pub async fn convert(ask: &Ask) -> Outcome {
    let Convert { company } = match ask.body.is_empty() {
        true => Convert { company: Company::AsIs },
        false => ask.body()?,
    };
    for _ in 0..ROUNDS {
        let view = match named(ask, "convert").await? {
            Ok(view) => view,
            Err(elsewhere) => return Ok(elsewhere),
        };
        ask.when(&shown(&view)?)?;
        match ask.service.convert_contact(&ask.caller, &view, company.clone()).await {
            Err(Stop::Refused(Refusal::Unmet)) => {}
            done => return shown(&done?),
        }
    }
    Err(moved())
}

/// A link.
#[derive(Serialize, ToSchema)]
pub struct Relation {
    /// `reports_to`, `report`, `company` or `member`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whom it leads to.
    contact: Linked,
}

/// Whom a link leads to.
#[derive(Serialize, ToSchema)]
pub struct Linked {
    /// Its id.
    id: String,
    /// Its number.
    number: String,
    /// Its name.
    name: String,
}

impl From<NumberedContact> for Linked {
    fn from(to: NumberedContact) -> Self {
        Self { id: to.id.to_string(), number: to.number, name: to.name }
    }
}

fn word(kind: RelationKind) -> &'static str {
    RelationKind::ALL.iter().find(|(known, _)| *known == kind).map_or("", |(_, word)| word)
}

type Numbered = (usize, crate::service::office::Relation);

const RELATIONS: Order<Numbered> = Order {
    id: |(at, _)| u128::try_from(*at).unwrap_or(u128::MAX).to_be_bytes(),
    fields: &[("type", |(at, _)| Key::Number(i64::try_from(*at).unwrap_or(i64::MAX)))],
};

/// `GET /contacts/{id}/relations`
pub async fn relations(ask: &Ask) -> Outcome {
    let view = match named(ask, "relations").await? {
        Ok(view) => view,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let asked = Asked::of(&ask.query, &RELATIONS)?;
    let relations = ask.service.relations(&ask.caller, &view).await?;
    let page = asked.piece(relations.into_iter().enumerate().collect(), &RELATIONS);
    Ok(Reply::json(&page.map(|(_, relation)| told(relation)))?)
}

fn told(relation: crate::service::office::Relation) -> Relation {
    Relation { kind: word(relation.kind), contact: relation.contact.into() }
}

/// A link that is to be.
#[derive(ToSchema)]
pub struct Relate {
    /// `reports_to`, `report`, `company` or `member`.
    #[schema(rename = "type", value_type = String)]
    kind: Option<RelationKind>,
    /// Whom it leads to: a number or an id.
    #[schema(value_type = String)]
    contact: Option<String>,
}

impl Read for Relate {
    fn read(fields: &mut Fields) -> Self {
        let kind = |text: &str| {
            let found = RelationKind::ALL.iter().find(|(_, word)| *word == text).map(|(kind, _)| *kind);
            found.ok_or_else(|| "this must be reports_to, report, company or member".to_owned())
        };
        let kind = fields.parsed("type", kind);
        Self { kind, contact: fields.parsed("contact", |text| Ok(text.to_owned())) }
    }
}

/// `POST /contacts/{id}/relations`
pub async fn relate(ask: &Ask) -> Outcome {
    let Relate { kind, contact } = ask.body()?;
    let (kind, contact) = (there(kind)?, there(contact)?);
    for _ in 0..ROUNDS {
        let view = match named(ask, "relations").await? {
            Ok(view) => view,
            Err(elsewhere) => return Ok(elsewhere),
        };
        ask.when(&shown(&view)?)?;
        match ask.service.relate(&ask.caller, &view, kind, contact.clone()).await {
            Err(Stop::Refused(Refusal::Unmet)) => continue,
            done => done?,
        }
        let made = ask.service.relations(&ask.caller, &view_again(ask, &view).await?).await?;
        let named = ContactRef::parse(&contact);
        let same = |to: &NumberedContact| {
            Some(ContactRef::Id(to.id)) == named || ContactRef::parse(&to.number) == named
        };
        let made = made.into_iter().find(|one| one.kind == kind && same(&one.contact));
        let made = made.ok_or(Refusal::NotFound)?;
        let place = ask.place("contacts", &[&view.id.to_string(), "relations"]);
        return Ok(Reply::json(&told(made))?.made_at(place));
    }
    Err(moved())
}

async fn view_again(ask: &Ask, view: &ContactView) -> Result<ContactView, super::Trouble> {
    found(ask, ContactRef::Id(view.id), "").await
}

/// What is merged into what.
#[derive(ToSchema)]
pub struct Merge {
    /// The contact that stays: a number or an id.
    #[schema(value_type = String)]
    target: Option<ContactRef>,
    /// Those that go into it.
    #[schema(value_type = Vec<String>)]
    sources: Vec<ContactRef>,
    /// What is taken exactly: a field with the contact whose value it gets, or a list with its values.
    #[schema(value_type = Option<Object>)]
    take: TakeRead,
}

#[derive(Default)]
struct TakeRead {
    from: Vec<(String, ContactRef)>,
    take: Take,
}

impl Read for TakeRead {
    fn read(fields: &mut Fields) -> Self {
        let mut take = Take::default();
        let text = |text: &str| Ok(text.to_owned());
        if fields.is_list("emails") {
            take.emails =
                Some(fields.items("emails", "value").into_iter().map(|read: EmailRead| read.0).collect());
        }
        if fields.is_list("phones") {
            take.phones =
                Some(fields.items("phones", "value").into_iter().map(|read: PhoneRead| read.0).collect());
        }
        if fields.is_list("addresses") {
            let read = fields.objects::<AddressRead>("addresses");
            take.addresses = Some(read.into_iter().map(|read| read.0).collect());
        }
        if fields.is_list("urls") {
            take.urls = Some(fields.items("urls", "value").into_iter().map(|read: UrlRead| read.0).collect());
        }
        if fields.is_list("categories") {
            take.categories = Some(fields.list("categories", text));
        }
        if fields.is_list("roles") {
            take.roles = Some(fields.list("roles", text));
        }
        let mut from = Vec::new();
        for name in fields.names() {
            from.extend(fields.parsed(&name, contact).map(|contact| (name, contact)));
        }
        Self { from, take }
    }
}

impl Read for Merge {
    fn read(fields: &mut Fields) -> Self {
        Self {
            target: fields.parsed("target", contact),
            sources: fields.list("sources", contact),
            take: fields.object("take").unwrap_or_default(),
        }
    }
}

/// `POST /contacts/merge`
pub async fn merge(ask: &Ask) -> Outcome {
    let preview = ask.query.switch("preview")?;
    let body: Merge = ask.body()?;
    let target = there(body.target)?;
    for _ in 0..ROUNDS {
        let mut sources = Vec::with_capacity(body.sources.len());
        for (at, source) in body.sources.iter().take(100).enumerate() {
            sources.push(found(ask, *source, &format!("/sources/{at}")).await?);
        }
        let target = found(ask, target, "/target").await?;
        let mut take = body.take.take.clone();
        for (path, from) in &body.take.from {
            let pointer = format!("/take/{}", path.replace('~', "~0").replace('/', "~1"));
            take.from.push((path.clone(), found(ask, *from, &pointer).await?.id));
        }
        let asked = MergeAsked { target, sources, take };
        if preview {
            let merged = ask.service.preview_merge(&ask.caller, &asked).await?;
            return Ok(Reply::json(&Contact::from(&merged))?);
        }
        match ask.service.merge_contacts(&ask.caller, &asked).await {
            Err(Stop::Refused(Refusal::Unmet)) => {}
            done => return shown(&done?),
        }
    }
    Err(moved())
}
