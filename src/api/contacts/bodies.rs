//! Bodies of the verbs on contacts.

use crate::service::office::ContactRef;

/// A contact's id or number.
pub fn contact(text: &str) -> Result<ContactRef, String> {
    ContactRef::parse(text).ok_or_else(|| "this is no id and no number of a contact".to_owned())
}
