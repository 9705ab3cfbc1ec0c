//! A whole contact as a flat list of values: card and record together, in the order of [`PATHS`].

use crate::domain::id::{AccountId, CollectionId, ContactId};
use crate::domain::phone::Region;
use crate::domain::search::international;

use super::{
    AddressStatus, CardFields, CustomValue, Email, Leaf, MailState, PATHS, Path, Phone, Record, Scalar,
};

/// So many numbers of a contact are looked up in a numbering plan, which takes longer than all else.
pub const DIALLED: usize = 32;

impl std::fmt::Debug for Whole<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Whole(…)")
    }
}

/// A contact, with all that is known of it but its number.
#[derive(Clone)]
pub struct Whole<'a> {
    /// What the card says.
    pub card: &'a CardFields,
    /// What the organisation knows.
    pub record: &'a Record,
    /// The contact.
    pub id: ContactId,
    /// The card's UID.
    pub uid: &'a str,
    /// The card's entity tag.
    pub etag: String,
    /// The book it is in.
    pub book: CollectionId,
    /// When it came, in microseconds since 1970.
    pub created: i64,
    /// When card or record last changed.
    pub updated: i64,
    /// Who made it.
    pub created_by: Option<AccountId>,
    /// Who last changed it.
    pub updated_by: Option<AccountId>,
    /// The region whose numbers are written without a country code.
    pub region: Option<Region>,
}

/// A phone number in the form of E.164, `+` and digits, where that is known.
pub fn e164(value: &str, region: Option<Region>) -> Option<String> {
    international(value, region).map(|digits| format!("+{digits}"))
}

/// Every value of the contact, in the order of [`PATHS`], the admin's own fields last.
pub fn leaves(whole: &Whole<'_>) -> Vec<Leaf> {
    let mut flat = Flat { at: 0, leaves: Vec::with_capacity(64) };
    let (card, record) = (whole.card, whole.record);
    flat.one("id", Scalar::Contact(whole.id));
    flat.text("uid", whole.uid);
    flat.one("book", Scalar::Book(whole.book));
    flat.text("kind", card.kind.word());
    flat.text("stage", record.stage.word());
    flat.texts("roles", &record.roles);
    flat.text("salutation", &record.salutation);
    flat.text("language", &record.language);
    flat.names(card, record);
    flat.emails(&card.emails, &record.addresses);
    flat.phones(&card.phones, whole.region);
    flat.places(card);
    flat.text("birthday", &card.birthday);
    flat.text("note", &card.note);
    flat.texts("categories", &card.categories);
    flat.one("has_photo", Scalar::Bool(card.has_photo));
    flat.known(record);
    flat.one("created_at", Scalar::Time(whole.created));
    flat.one("updated_at", Scalar::Time(whole.updated));
    flat.some("created_by", whole.created_by.map(Scalar::Account));
    flat.some("updated_by", whole.updated_by.map(Scalar::Account));
    flat.text("etag", &whole.etag);
    flat.custom(record);
    flat.leaves
}

struct Flat {
    /// The place in [`PATHS`] of the last path that was named.
    at: usize,
    leaves: Vec<Leaf>,
}

impl Flat {
    /// The path of that name, which is behind the one named before it.
    fn path(&mut self, name: &str) -> Path {
        while PATHS.get(self.at).is_some_and(|(known, _)| *known != name) {
            self.at += 1;
        }
        Path::Known(u8::try_from(self.at).unwrap_or(u8::MAX))
    }

    fn push(&mut self, name: &str, index: usize, value: Scalar) {
        let path = self.path(name);
        self.add(path, index, value);
    }

    fn add(&mut self, path: Path, index: usize, value: Scalar) {
        let (Ok(index), false) =
            (u16::try_from(index), matches!(&value, Scalar::Text(text) if text.is_empty()))
        else {
            return;
        };
        self.leaves.push(Leaf { path, index, value });
    }

    fn one(&mut self, name: &str, value: Scalar) {
        self.push(name, 0, value);
    }

    fn some(&mut self, name: &str, value: Option<Scalar>) {
        if let Some(value) = value {
            self.one(name, value);
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.one(name, Scalar::Text(text.to_owned()));
        }
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        for (index, text) in texts.iter().enumerate() {
            self.push(name, index, Scalar::Text(text.clone()));
        }
    }

    /// One text of each item, in the items' order.
    fn each<'a>(&mut self, name: &str, texts: impl Iterator<Item = &'a str>) {
        for (index, text) in texts.enumerate().filter(|(_, text)| !text.is_empty()) {
            self.push(name, index, Scalar::Text(text.to_owned()));
        }
    }

    fn types<'a>(&mut self, name: &str, lists: impl Iterator<Item = &'a Vec<String>>) {
        for (index, types) in lists.enumerate() {
            for kind in types {
                self.push(name, index, Scalar::Text(kind.clone()));
            }
        }
    }

    fn prefs(&mut self, name: &str, prefs: impl Iterator<Item = Option<u8>>) {
        for (index, pref) in prefs.enumerate() {
            if let Some(pref) = pref {
                self.push(name, index, Scalar::Number(pref.to_string()));
            }
        }
    }

    fn names(&mut self, card: &CardFields, record: &Record) {
        self.text("name.formatted", &card.name.formatted);
        self.text("name.given", &card.name.given);
        self.text("name.family", &card.name.family);
        self.text("name.additional", &card.name.additional);
        self.text("name.prefix", &card.name.prefix);
        self.text("name.suffix", &card.name.suffix);
        self.text("organization.name", &card.organization.name);
        self.texts("organization.units", &card.organization.units);
        self.some("organization.company", record.company.map(Scalar::Contact));
        self.text("title", &card.title);
    }

    fn emails(&mut self, emails: &[Email], known: &[AddressStatus]) {
        self.each("emails.value", emails.iter().map(|email| email.value.as_str()));
        self.types("emails.types", emails.iter().map(|email| &email.types));
        self.prefs("emails.pref", emails.iter().map(|email| email.pref));
        let status: Vec<Option<&AddressStatus>> = match known {
            [] => vec![None; emails.len()],
            known => {
                let of = |email: &Email| {
                    let address = email.value.to_lowercase();
                    known.iter().find(|known| known.address == address)
                };
                emails.iter().map(of).collect()
            }
        };
        let state =
            |status: &Option<&AddressStatus>| status.map_or(MailState::Ok, |status| status.state).word();
        self.each("emails.status.state", status.iter().map(state));
        for (index, status) in status.iter().enumerate() {
            if let Some(status) = status {
                self.push("emails.status.since", index, Scalar::Time(status.since));
            }
        }
        let text = |text: Option<&'_ Option<String>>| text.and_then(|text| text.clone()).unwrap_or_default();
        let codes: Vec<_> = status.iter().map(|status| text(status.map(|status| &status.code))).collect();
        self.each("emails.status.code", codes.iter().map(String::as_str));
        let details: Vec<_> = status.iter().map(|status| text(status.map(|status| &status.detail))).collect();
        self.each("emails.status.detail", details.iter().map(String::as_str));
    }

    fn phones(&mut self, phones: &[Phone], region: Option<Region>) {
        self.each("phones.value", phones.iter().map(|phone| phone.value.as_str()));
        for (index, phone) in phones.iter().enumerate() {
            if let Some(number) = e164(&phone.value, region.filter(|_| index < DIALLED)) {
                self.push("phones.e164", index, Scalar::Text(number));
            }
        }
        self.types("phones.types", phones.iter().map(|phone| &phone.types));
        self.prefs("phones.pref", phones.iter().map(|phone| phone.pref));
    }

    fn places(&mut self, card: &CardFields) {
        let addresses = &card.addresses;
        self.each("addresses.po_box", addresses.iter().map(|address| address.po_box.as_str()));
        self.each("addresses.extended", addresses.iter().map(|address| address.extended.as_str()));
        self.each("addresses.street", addresses.iter().map(|address| address.street.as_str()));
        self.each("addresses.locality", addresses.iter().map(|address| address.locality.as_str()));
        self.each("addresses.region", addresses.iter().map(|address| address.region.as_str()));
        self.each("addresses.postal_code", addresses.iter().map(|address| address.postal_code.as_str()));
        self.each("addresses.country", addresses.iter().map(|address| address.country.as_str()));
        self.types("addresses.types", addresses.iter().map(|address| &address.types));
        self.prefs("addresses.pref", addresses.iter().map(|address| address.pref));
        self.each("urls.value", card.urls.iter().map(|url| url.value.as_str()));
        self.types("urls.types", card.urls.iter().map(|url| &url.types));
    }

    /// What only the record says.
    fn known(&mut self, record: &Record) {
        let (flags, mail, portal) = (record.flags, record.mail_preferences, record.portal);
        self.some("assigned_to", record.assigned_to.map(Scalar::Account));
        self.some("reports_to", record.reports_to.map(Scalar::Contact));
        self.text("service_level", &record.service_level);
        for (name, value) in [
            ("flags.do_not_call", flags.do_not_call),
            ("flags.block_automatic_mail", flags.block_automatic_mail),
            ("flags.newsletter", flags.newsletter),
            ("flags.blocked", flags.blocked),
            ("mail_preferences.general", mail.general),
            ("mail_preferences.product", mail.product),
            ("mail_preferences.domain", mail.domain),
            ("mail_preferences.invoice", mail.invoice),
            ("mail_preferences.support", mail.support),
            ("portal.enabled", portal.enabled),
        ] {
            self.one(name, Scalar::Bool(value));
        }
        self.some("portal.from", portal.from.map(Scalar::Time));
        self.some("portal.until", portal.until.map(Scalar::Time));
        self.text("privacy.source", &record.source);
        self.one("privacy.restricted", Scalar::Bool(false));
        self.one("privacy.anonymized", Scalar::Bool(false));
    }

    fn custom(&mut self, record: &Record) {
        for field in &record.custom {
            let path = Path::Custom(field.key.to_ascii_lowercase().into());
            match &field.value {
                CustomValue::Text(text) => self.add(path, 0, Scalar::Text(text.clone())),
                CustomValue::Number(number) => self.add(path, 0, Scalar::Number(number.clone())),
                CustomValue::Bool(value) => self.add(path, 0, Scalar::Bool(*value)),
                CustomValue::List(texts) => {
                    for (index, text) in texts.iter().enumerate() {
                        self.add(path.clone(), index, Scalar::Text(text.clone()));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
