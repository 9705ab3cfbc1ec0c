//! What somebody may write into a card through the API. What a card already has is not judged: a
//! phone may have written it, and the office must still be able to change the rest.

use crate::domain::convert::whole_date;

use super::CardFields;
use super::read::{What, What::Email as IsEmail, What::Phone as IsPhone, What::Url as IsUrl};
use super::read::{is_silent, show_date, without_scheme};

/// How long a part of a name may be, in characters.
const NAME: usize = 1_000;

/// How long another text may be, in characters.
const TEXT: usize = 4_000;

/// How long a note may be, in octets.
const NOTE: usize = 64 << 10;

/// How many items a list may have.
const MOST: usize = 100;

/// How long a type may be.
const TYPE: usize = 64;

impl CardFields {
    /// What may not be written: where, as a JSON pointer (RFC 6901), and why.
    pub fn wrong(&self) -> Vec<(String, String)> {
        self.wrong_after(&Self::default())
    }

    /// What may not be written where these fields are there already.
    pub fn wrong_after(&self, before: &Self) -> Vec<(String, String)> {
        let mut found = Found::default();
        self.check_texts(before, &mut found);
        self.check_reach(before, &mut found);
        self.check_places(before, &mut found);
        found.wrong
    }

    fn check_texts(&self, before: &Self, found: &mut Found) {
        let (name, old) = (&self.name, &before.name);
        for (pointer, text, old) in [
            ("/name/formatted", &name.formatted, &old.formatted),
            ("/name/given", &name.given, &old.given),
            ("/name/family", &name.family, &old.family),
            ("/name/additional", &name.additional, &old.additional),
            ("/name/prefix", &name.prefix, &old.prefix),
            ("/name/suffix", &name.suffix, &old.suffix),
            ("/organization/name", &self.organization.name, &before.organization.name),
            ("/title", &self.title, &before.title),
        ] {
            let most = if pointer.starts_with("/name") { NAME } else { TEXT };
            if text != old {
                found.line(pointer, text, most);
            }
        }
        found.texts("/organization/units", &self.organization.units, &before.organization.units);
        found.texts("/categories", &self.categories, &before.categories);
        if self.note != before.note {
            found.lines("/note", &self.note);
            found.check("/note", self.note.len() > NOTE, "is longer than 64 KiB");
        }
        if self.birthday != before.birthday && !self.birthday.trim().is_empty() {
            let day = is_day(self.birthday.trim());
            found.check("/birthday", !day, "is no date such as 1980-02-29 or --02-29");
        }
    }

    fn check_reach(&self, before: &Self, found: &mut Found) {
        for (at, email) in found.items("/emails", &self.emails, &before.emails) {
            let pointer = format!("/emails/{at}/value");
            found.line(&pointer, &email.value, TEXT);
            let address = email.value.trim();
            let whole =
                address.rsplit_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
            found.check(&pointer, !whole, "is no e-mail address");
            found.check(&pointer, address.chars().any(char::is_whitespace), "holds white space");
            found.types(&format!("/emails/{at}/types"), &email.types, IsEmail);
            found.pref(&format!("/emails/{at}/pref"), email.pref);
        }
        for (at, phone) in found.items("/phones", &self.phones, &before.phones) {
            let pointer = format!("/phones/{at}/value");
            found.line(&pointer, &phone.value, TEXT);
            found.check(&pointer, without_scheme(&phone.value).is_empty(), "is empty");
            found.types(&format!("/phones/{at}/types"), &phone.types, IsPhone);
            found.pref(&format!("/phones/{at}/pref"), phone.pref);
        }
        for (at, url) in found.items("/urls", &self.urls, &before.urls) {
            let pointer = format!("/urls/{at}/value");
            found.line(&pointer, &url.value, TEXT);
            found.check(&pointer, url.value.trim().is_empty(), "is empty");
            found.types(&format!("/urls/{at}/types"), &url.types, IsUrl);
        }
    }

    fn check_places(&self, before: &Self, found: &mut Found) {
        const PARTS: [&str; 7] =
            ["po_box", "extended", "street", "locality", "region", "postal_code", "country"];
        for (at, address) in found.items("/addresses", &self.addresses, &before.addresses) {
            for (name, text) in PARTS.iter().zip(address.parts()) {
                let pointer = format!("/addresses/{at}/{name}");
                found.lines(&pointer, text);
                found.length(&pointer, text, TEXT);
            }
            found.types(&format!("/addresses/{at}/types"), &address.types, What::Address);
            found.pref(&format!("/addresses/{at}/pref"), address.pref);
        }
    }

    /// The fields as they will be read when they were written: without white space around texts,
    /// with line breaks of one kind, types in lower case and each once, and without empty items.
    pub fn tidy(mut self) -> Self {
        let name = &mut self.name;
        let names = [&mut name.formatted, &mut name.given, &mut name.family];
        let names = names.into_iter().chain([&mut name.additional, &mut name.prefix, &mut name.suffix]);
        let others = [&mut self.organization.name, &mut self.title, &mut self.birthday];
        let lists = self.organization.units.iter_mut().chain(&mut self.categories);
        names.chain(others).chain(lists).for_each(trim);
        self.organization.units.retain(|unit| !unit.is_empty());
        self.categories.retain(|category| !category.is_empty());
        if let Some(date) = whole_date(&self.birthday, None) {
            self.birthday = show_date(date);
        }
        one_line_break(&mut self.note);
        if self.note.trim().is_empty() {
            self.note.clear();
        }
        for email in &mut self.emails {
            trim(&mut email.value);
            tidy_types(&mut email.types, IsEmail);
        }
        for phone in &mut self.phones {
            trim(&mut phone.value);
            phone.value = without_scheme(&phone.value).to_owned();
            tidy_types(&mut phone.types, IsPhone);
        }
        for address in &mut self.addresses {
            let parts = [&mut address.po_box, &mut address.extended, &mut address.street];
            let others = [&mut address.locality, &mut address.region, &mut address.postal_code];
            parts.into_iter().chain(others).chain([&mut address.country]).for_each(trim);
            tidy_types(&mut address.types, What::Address);
        }
        for url in &mut self.urls {
            trim(&mut url.value);
            tidy_types(&mut url.types, IsUrl);
        }
        self.emails.retain(|email| !email.value.is_empty());
        self.phones.retain(|phone| !phone.value.is_empty());
        self.addresses.retain(|address| !address.is_empty());
        self.urls.retain(|url| !url.value.is_empty());
        self
    }
}

/// Whether it is a day that there is, with or without its year.
fn is_day(text: &str) -> bool {
    let Some((year, month, day)) = whole_date(text, None) else { return false };
    let whole = jiff::civil::Date::new(year.and_then(|year| year.try_into().ok()).unwrap_or(2000), 1, 1);
    let (month, day) = (i8::try_from(month).unwrap_or_default(), i8::try_from(day).unwrap_or_default());
    whole.and_then(|date| date.with().month(month).day(day).build()).is_ok()
        && !text.contains(['T', 't', ' '])
}

fn trim(text: &mut String) {
    one_line_break(text);
    let trimmed = text.trim();
    if trimmed.len() < text.len() {
        *text = trimmed.to_owned();
    }
}

fn one_line_break(text: &mut String) {
    if text.contains('\r') {
        *text = text.replace("\r\n", "\n").replace('\r', "\n");
    }
}

fn tidy_types(types: &mut Vec<String>, what: What) {
    let mut kept: Vec<String> = Vec::with_capacity(types.len());
    for kind in types.iter().map(|kind| kind.trim().to_lowercase()) {
        if !kind.is_empty() && !is_silent(&kind, what) && !kept.contains(&kind) {
            kept.push(kind);
        }
    }
    *types = kept;
}

/// What was found wrong.
#[derive(Default)]
struct Found {
    wrong: Vec<(String, String)>,
}

impl Found {
    fn check(&mut self, pointer: &str, wrong: bool, why: &str) {
        if wrong {
            self.wrong.push((pointer.to_owned(), why.to_owned()));
        }
    }

    fn length(&mut self, pointer: &str, text: &str, most: usize) {
        let long = text.chars().nth(most).is_some();
        self.check(pointer, long, &format!("is longer than {most} characters"));
    }

    /// A text of one line.
    fn line(&mut self, pointer: &str, text: &str, most: usize) {
        self.check(pointer, text.chars().any(char::is_control), "holds a control character");
        self.length(pointer, text, most);
    }

    /// A text of lines.
    fn lines(&mut self, pointer: &str, text: &str) {
        let control = text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        self.check(pointer, control, "holds a control character");
    }

    /// The items of a list that were not there before.
    fn items<'a, T: PartialEq>(
        &mut self,
        pointer: &str,
        list: &'a [T],
        before: &'a [T],
    ) -> Vec<(usize, &'a T)> {
        let many = list.len() > MOST && list.len() > before.len();
        self.check(pointer, many, "has more than 100 items");
        // A list that is too long is not looked through.
        let new = list.iter().enumerate().take(if many { MOST } else { list.len() });
        new.filter(|(at, item)| before.get(*at) != Some(*item) && !before.contains(item)).collect()
    }

    fn texts(&mut self, pointer: &str, list: &[String], before: &[String]) {
        for (at, text) in self.items(pointer, list, before) {
            self.line(&format!("{pointer}/{at}"), text, TEXT);
        }
    }

    fn types(&mut self, pointer: &str, types: &[String], what: What) {
        self.check(pointer, types.len() > MOST, "has more than 100 items");
        for (at, kind) in types.iter().enumerate().take(MOST) {
            let word = kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            let pointer = format!("{pointer}/{at}");
            self.check(&pointer, !word || kind.is_empty(), "is no word of letters, digits and hyphens");
            self.check(&pointer, kind.len() > TYPE, "is longer than 64 characters");
            let silent = is_silent(kind, what) && kind.eq_ignore_ascii_case("pref");
            self.check(&pointer, silent, "is no type: a preference is said by pref");
        }
    }

    fn pref(&mut self, pointer: &str, pref: Option<u8>) {
        let wrong = pref.is_some_and(|pref| !(1..=100).contains(&pref));
        self.check(pointer, wrong, "is not between 1 and 100");
    }
}
