//! What a history tells.

use super::*;
use crate::domain::contact::{CardFields, Custom, CustomValue, Record, Scalar, Whole, leaves};
use crate::domain::id::{CollectionId, ContactId};

fn flat(lines: &str, record: &Record, updated: i64) -> Vec<Leaf> {
    let card = CardFields::read(format!("BEGIN:VCARD\r\n{lines}\r\nEND:VCARD\r\n").as_bytes());
    leaves(&Whole {
        card: &card,
        record,
        id: ContactId::from_bytes([1; 16]),
        uid: "u",
        etag: updated.to_string(),
        book: CollectionId::from_bytes([2; 16]),
        created: 1,
        updated,
        created_by: None,
        updated_by: None,
        region: None,
    })
}

#[test]
fn changes_are_told_field_by_field() {
    let record = Record::default();
    let before = flat("FN:a\r\nN:b;c\r\nEMAIL:a@b\r\nEMAIL:c@d\r\nTITLE:x\r\nCATEGORIES:a", &record, 1);
    assert!(changes(&before, &before).is_empty());
    assert!(
        changes(
            &before,
            &flat("FN:a\r\nN:b;c\r\nEMAIL:a@b\r\nEMAIL:c@d\r\nTITLE:x\r\nCATEGORIES:a", &record, 2)
        )
        .is_empty()
    );
    let mut record = record;
    record.flags.do_not_call = true;
    record.roles = vec!["customer".to_owned()];
    record.custom = vec![Custom { key: "No".to_owned(), value: CustomValue::Number("1".to_owned()) }];
    let after = flat("FN:a\r\nN:d;c\r\nEMAIL:a@b\r\nEMAIL;TYPE=home:c@d\r\nCATEGORIES:a,b", &record, 2);
    let found = changes(&before, &after);
    let paths: Vec<_> = found.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(
        paths,
        ["roles", "name.family", "title", "emails", "categories", "flags.do_not_call", "custom.no"]
    );
    let of = |path: &str| found.iter().find(|change| change.path == path).unwrap();
    assert!(of("title").new.is_empty() && of("title").old[0].value == Scalar::Text("x".to_owned()));
    // Both addresses, their states, and a type.
    assert_eq!((of("emails").old.len(), of("emails").new.len()), (4, 5));
    assert!(of("flags.do_not_call").new[0].value == Scalar::Bool(true));
}
