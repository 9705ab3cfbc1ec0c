//! `/roles` and `/service-levels`: lists of words that the admin keeps.

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::definitions::words::{self, List};
use crate::service::definitions::{self};

use super::body::{Fields, Read, read_object};
use super::page::{Asked, Key, Order};
use super::reply::Reply;
use super::{Ask, Outcome, ROUNDS, moved, there};

/// A role or a service level.
#[derive(Serialize, ToSchema)]
pub struct Word {
    /// What contacts say, and the API; it never changes.
    key: String,
    /// What people read.
    label: String,
    /// Where in the list.
    order: i64,
    /// It is always there.
    builtin: bool,
}

/// A role or a service level that is to be added.
#[derive(ToSchema)]
pub struct NewWord {
    /// What contacts say, and the API: a-z, 0-9, _ and -, at most 64.
    #[schema(value_type = String)]
    key: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    fields: PatchWord,
}

/// What may be changed of a role or a service level.
#[derive(ToSchema)]
pub struct PatchWord {
    /// What people read, in one line.
    #[schema(value_type = String)]
    label: Option<String>,
    /// Where in the list; 0 where left out.
    #[schema(value_type = Option<i64>)]
    order: i64,
}

const WRITABLE: [&str; 2] = ["label", "order"];

/// The longest label, in octets.
const LONGEST: usize = 200;

impl Read for PatchWord {
    fn read(fields: &mut Fields) -> Self {
        Self { label: fields.label("label", LONGEST), order: fields.integer("order").unwrap_or(0) }
    }
}

impl Read for NewWord {
    fn read(fields: &mut Fields) -> Self {
        Self { key: fields.parsed("key", words::key), fields: PatchWord::read(fields) }
    }
}

const ORDER: Order<definitions::Word> = Order {
    id: |word| super::id_of(&word.key),
    fields: &[
        ("order", |word| Key::placed("", word.order, &word.key)),
        ("key", |word| Key::text(&word.key)),
        ("label", |word| Key::text(&word.label)),
    ],
};

fn told(list: List, word: &definitions::Word) -> Word {
    let builtin = words::is_always(list, &word.key);
    Word { key: word.key.clone(), label: word.label.clone(), order: word.order, builtin }
}

fn collection(list: List) -> &'static str {
    match list {
        List::Roles => "roles",
        List::ServiceLevels => "service-levels",
    }
}

/// `GET /roles`, `GET /service-levels`
pub async fn list(ask: &Ask, of: List) -> Outcome {
    let asked = Asked::of(&ask.query, &ORDER)?;
    let page = asked.piece(ask.service.words(of).await?, &ORDER);
    Ok(Reply::json(&page.map(|word| told(of, &word)))?)
}

/// `POST /roles`, `POST /service-levels`
pub async fn create(ask: &Ask, of: List) -> Outcome {
    let NewWord { key, fields } = ask.body()?;
    let word = definitions::Word { key: there(key)?, label: there(fields.label)?, order: fields.order };
    let word = ask.service.create_word(&ask.caller, of, word).await?;
    Ok(Reply::created(&told(of, &word), ask.place(collection(of), &[&word.key]))?)
}

/// `GET /roles/{key}`, `GET /service-levels/{key}`
pub async fn show(ask: &Ask, of: List) -> Outcome {
    Ok(Reply::resource(&told(of, &ask.service.word(of, ask.param(0)).await?))?)
}

/// `PATCH /roles/{key}`, `PATCH /service-levels/{key}`
pub async fn change(ask: &Ask, of: List) -> Outcome {
    for _ in 0..ROUNDS {
        let word = ask.service.word(of, ask.param(0)).await?;
        let shown = Reply::resource(&told(of, &word))?;
        ask.when(&shown)?;
        let fields: PatchWord = read_object(ask.patched(&shown, &WRITABLE)?)?;
        let label = there(fields.label)?;
        let after = definitions::Word { key: word.key.clone(), label, order: fields.order };
        if ask.service.change_word(&ask.caller, of, &word, after).await? {
            return show(ask, of).await;
        }
    }
    Err(moved())
}

/// `DELETE /roles/{key}`, `DELETE /service-levels/{key}`
pub async fn remove(ask: &Ask, of: List) -> Outcome {
    let word = ask.service.word(of, ask.param(0)).await?;
    ask.when(&Reply::resource(&told(of, &word))?)?;
    ask.service.remove_word(&ask.caller, of, &word).await?;
    Ok(Reply::gone())
}
