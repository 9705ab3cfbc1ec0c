//! The admin's own fields: what there may be of them, and that none goes while contacts have a value of
//! it.

use crate::domain::permission::Permission;
use crate::service::access::Caller;
use crate::service::admin::conflict;
use crate::service::refusal::Refusal;
use crate::service::{Answer, Service};
use crate::store::rows::{self, Definition};

use super::{Field, FieldKind, id_of, wrong};

/// How many fields there may be: each contact in memory has room for its values.
const MOST: usize = 500;

/// How many options a field may have, and the longest of them in octets.
const OPTIONS: usize = 500;
const LONGEST_OPTION: usize = 200;

/// The longest key, label and section, in octets.
const LONGEST_KEY: usize = 64;
const LONGEST: usize = 200;

impl Service {
    /// One field.
    pub async fn field(&self, key: &str) -> Answer<Field> {
        let laid = self.laid_down().await?;
        laid.field(key).cloned().ok_or_else(|| Refusal::NotFound.into())
    }

    /// Adds a field.
    pub async fn create_field(&self, caller: &Caller, field: Field) -> Answer<Field> {
        caller.need(Permission::Settings)?;
        let field = Field { created: rows::micros(self.clock.now()), ..field };
        let may = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let begins = field.key.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || field.key.len() > LONGEST_KEY || !field.key.bytes().all(may) {
            let text = format!("a key begins with a-z and is made of a-z, 0-9 and _, at most {LONGEST_KEY}");
            return Err(wrong("/key", text));
        }
        let field = checked(field)?;
        let _turn = self.laid.changing.lock().await;
        let laid = self.laid_down().await?;
        let taken = || conflict(format!("there is a field '{}' already", field.key));
        if laid.field(&field.key).is_some() {
            return Err(taken());
        }
        if laid.fields.len() >= MOST {
            return Err(conflict(format!("there are no more than {MOST} fields")));
        }
        let id = id_of(Definition::FIELD, &field.key);
        match self.lay(Some(caller), id, None, Some(Definition::Field(field.clone()))).await? {
            true => Ok(field),
            false => Err(taken()),
        }
    }

    /// Changes a field but for its key and type; false where it is no longer as it was read.
    pub async fn change_field(&self, caller: &Caller, before: &Field, after: Field) -> Answer<bool> {
        caller.need(Permission::Settings)?;
        let (key, kind, created) = (before.key.clone(), before.kind, before.created);
        let after = checked(Field { key, kind, created, ..after })?;
        if after == *before {
            return Ok(true);
        }
        let _turn = self.laid.changing.lock().await;
        let id = id_of(Definition::FIELD, &before.key);
        let before = Definition::Field(before.clone());
        self.lay(Some(caller), id, Some(before), Some(Definition::Field(after))).await
    }

    /// Takes a field away, unless contacts have a value of it.
    pub async fn remove_field(&self, caller: &Caller, field: &Field) -> Answer<()> {
        caller.need(Permission::Settings)?;
        let _turn = self.laid.changing.lock().await;
        match self.used(&format!("custom.{} pr", field.key)).await? {
            0 => {}
            count => {
                let key = &field.key;
                let text = format!("{count} contacts have a value of '{key}'; take it from them first");
                return Err(conflict(text));
            }
        }
        let id = id_of(Definition::FIELD, &field.key);
        match self.lay(Some(caller), id, Some(Definition::Field(field.clone())), None).await? {
            true => Ok(()),
            false => Err(Refusal::Unmet.into()),
        }
    }
}

/// What a field may be like.
fn checked(mut field: Field) -> Answer<Field> {
    for (pointer, text) in [("/label", &field.label), ("/section", &field.section)] {
        if text.len() > LONGEST || text.contains(char::is_control) {
            return Err(wrong(pointer, format!("this is one line of at most {LONGEST} octets")));
        }
    }
    if field.label.is_empty() {
        return Err(wrong("/label", "this field must be there"));
    }
    let chosen = matches!(field.kind, FieldKind::Choice | FieldKind::MultiChoice);
    match (chosen, field.options.is_empty()) {
        (true, true) => return Err(wrong("/options", "there must be something to choose from")),
        (false, false) => return Err(wrong("/options", "a field of this type has no options")),
        _ => {}
    }
    if field.options.len() > OPTIONS {
        return Err(wrong("/options", format!("a field has at most {OPTIONS} options")));
    }
    let mut seen = std::collections::HashSet::new();
    for (at, option) in field.options.iter().enumerate() {
        let pointer = format!("/options/{at}");
        let trimmed = option.trim() == option && !option.is_empty();
        if !trimmed || option.len() > LONGEST_OPTION || option.contains(char::is_control) {
            let text =
                format!("an option is one line of 1 to {LONGEST_OPTION} octets without blanks around it");
            return Err(wrong(&pointer, text));
        }
        if !seen.insert(option.as_str()) {
            return Err(wrong(&pointer, "this option is there twice"));
        }
    }
    field.applies_to.sort_unstable();
    field.applies_to.dedup();
    field.books.sort_unstable();
    field.books.dedup();
    Ok(field)
}
