//! What a contact is to be, as it comes from outside: the card's fields, and the record with names for
//! ids. What is wrong is told by JSON pointers (contract §4).

use crate::domain::contact::{CardFields, Flags, MailPreferences, Portal, Record, Stage};
use crate::service::definitions::Value;
use crate::service::refusal::Refusal;

crate::hidden!(Draft, RecordDraft);

/// A contact that is to be.
#[derive(Clone, Default)]
pub struct Draft {
    /// The book, as `OWNER/NAME`; left out, where it is, or the caller's default one.
    pub book: Option<String>,
    /// What the card is to say.
    pub fields: CardFields,
    /// What the organisation knows.
    pub record: RecordDraft,
}

/// A record that is to be.
#[derive(Clone, Default)]
pub struct RecordDraft {
    /// Lead or contact.
    pub stage: Stage,
    /// Keys of roles.
    pub roles: Vec<String>,
    /// How they are addressed.
    pub salutation: String,
    /// The language to write in.
    pub language: String,
    /// A user's name.
    pub assigned_to: Option<String>,
    /// The person they report to, by number or id.
    pub reports_to: Option<String>,
    /// Their company, by number or id.
    pub company: Option<String>,
    /// What must not be done, and the newsletter; left out, as it is for new contacts.
    pub flags: Option<Flags>,
    /// Which mail they want.
    pub mail_preferences: MailPreferences,
    /// Access to the portal.
    pub portal: Portal,
    /// The admin's own fields.
    pub custom: Vec<(String, Value)>,
    /// The key of a source.
    pub source: Option<String>,
    /// A company's service level.
    pub service_level: String,
}

/// Refuses with what is wrong, field by field.
pub(super) fn refuse(wrong: Vec<(String, String)>) -> Result<(), Refusal> {
    match wrong.len() {
        0 => Ok(()),
        _ => Err(Refusal::AllWrong(wrong)),
    }
}

impl RecordDraft {
    /// Whom it links to, as it names them.
    pub(super) fn links(&self) -> (Option<&str>, Option<&str>) {
        (self.reports_to.as_deref(), self.company.as_deref())
    }

    /// What a record says, for a draft that changes part of it.
    pub fn of(record: &Record, names: (Option<String>, Option<String>, Option<String>)) -> Self {
        let (assigned_to, reports_to, company) = names;
        Self {
            stage: record.stage,
            roles: record.roles.clone(),
            salutation: record.salutation.clone(),
            language: record.language.clone(),
            assigned_to,
            reports_to,
            company,
            flags: Some(record.flags),
            mail_preferences: record.mail_preferences,
            portal: record.portal,
            custom: record.custom.iter().map(|own| (own.key.clone(), Value::from(&own.value))).collect(),
            source: Some(record.source.clone()).filter(|source| !source.is_empty()),
            service_level: record.service_level.clone(),
        }
    }
}
