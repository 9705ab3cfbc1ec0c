//! What the cards of real programs say, and octets of every kind.

use proptest::prelude::*;

use super::*;

fn read(lines: &str) -> CardFields {
    CardFields::read(format!("BEGIN:VCARD\r\n{lines}\r\nEND:VCARD\r\n").as_bytes())
}

fn email(value: &str, types: &[&str], pref: Option<u8>) -> Email {
    Email { value: value.to_owned(), types: types.iter().map(|kind| (*kind).to_owned()).collect(), pref }
}

fn phone(value: &str, types: &[&str], pref: Option<u8>) -> Phone {
    let Email { value, types, pref } = email(value, types, pref);
    Phone { value, types, pref }
}

macro_rules! corpus {
    ($name:literal) => {
        CardFields::read(include_bytes!(concat!("../../convert/corpus/", $name, ".vcf")))
    };
}

#[test]
fn a_card_of_an_iphone() {
    let card = corpus!("apple-person-3");
    assert!(card.kind == Kind::Individual && card.has_photo);
    assert_eq!(card.name.formatted, "Dr. John Q Appleseed Jr.");
    let name = [&card.name.given, &card.name.family, &card.name.additional, &card.name.prefix];
    assert_eq!(
        (name, card.name.suffix.as_str()),
        (["John", "Appleseed", "Q", "Dr."].map(String::from).each_ref(), "Jr.")
    );
    assert_eq!(card.organization.name, "Example Inc.");
    assert_eq!((card.organization.units.join("|"), card.title.as_str()), ("Orchards".to_owned(), "Planter"));
    assert!(
        card.emails == [email("john@example.org", &["home"], Some(1)), email("john@work.example", &[], None)]
    );
    assert!(
        card.phones
            == [
                phone("+1 (555) 010-0100", &["cell", "voice"], Some(1)),
                phone("+1 555 010 0101", &["home", "fax"], None),
                phone("+1 555 010 0102", &["main"], None)
            ]
    );
    let parts = ["", "", "1 Orchard Way\nRear Building", "Leominster", "MA", "01453", "United States"];
    assert_eq!(card.addresses[0].parts(), parts);
    assert_eq!((card.addresses[0].types.join(","), card.addresses[0].pref), ("home".to_owned(), Some(1)));
    assert_eq!(card.urls[0].value, "http://www.example.org/a,b");
    assert_eq!(card.birthday, "--09-26");
    assert_eq!(card.note, "Likes apples; pears too\nand says: \"seed, everywhere\"");
}

#[test]
fn cards_of_other_programs() {
    let company = corpus!("apple-company-3");
    assert!(company.kind == Kind::Org && company.organization.units.is_empty());
    assert!(corpus!("apple-group-3").kind == Kind::Group && corpus!("group-4").kind == Kind::Group);

    let outlook = corpus!("outlook-3");
    assert_eq!(
        (outlook.birthday.as_str(), outlook.name.formatted.as_str()),
        ("1970-01-01", "Müller, Jürgen")
    );
    assert!(outlook.emails == [email("juergen@example.de", &[], Some(1))]);
    assert!(outlook.phones[0] == phone("+49 (30) 1234-0", &["work", "voice"], None));
    assert!(!outlook.has_photo);

    let evolution = corpus!("evolution-3");
    assert!(evolution.phones == [phone("+48 22 000", &["work", "voice"], None)]);
    assert_eq!(evolution.birthday, "1980-02-29");

    let thunderbird = corpus!("thunderbird-4");
    assert!(thunderbird.phones[1] == phone("+48-600-000-000;ext=12", &["voice", "cell"], None));
    assert!(thunderbird.has_photo);

    let google = corpus!("google-3");
    assert_eq!(google.categories, ["myContacts", "starred"]);
    assert_eq!((google.organization.name.as_str(), google.birthday.as_str()), ("Ejemplo S.A.", "1985-04-12"));
    assert_eq!(google.addresses[0].country, "España");

    let rich = corpus!("rich-4");
    assert_eq!((rich.name.formatted.as_str(), rich.title.as_str()), ("山田太郎", "Boss"));
    assert_eq!(corpus!("no-name-3").birthday, "--05-06");
}

#[test]
fn odd_lines() {
    let birthday = |line: &str| read(line).birthday;
    assert_eq!(birthday("BDAY:19800229"), "1980-02-29");
    assert_eq!(birthday("BDAY:1980-02-29T00:00:00Z"), "1980-02-29");
    assert_eq!(birthday("BDAY:--0229"), "--02-29");
    assert_eq!(birthday("BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29"), "--02-29");
    assert_eq!(birthday("BDAY;VALUE=text:circa 1800"), "circa 1800");
    assert_eq!(birthday("BDAY:1985-04"), "1985-04");
    assert!(read("KIND:location").kind == Kind::Individual);
    assert!(read("X-ABShowAs:COMPANY\r\nKIND:group").kind == Kind::Group);
    assert!(read("ITEM1.em\r\n AIL;TYPE=HO\r\n ME:a@b").emails == [email("a@b", &["home"], None)]);
    assert!(read("EMAIL:\r\nEMAIL:mo@x.y").emails.len() == 1);
    assert!(read("TEL;PREF=101;TYPE=\"Home,PREF\",home:TEL:1").phones == [phone("1", &["home"], Some(1))]);
    assert_eq!(read("FN:\r\nFN:b\r\nFN;PREF=1:c\r\nFN;PREF=1:d").name.formatted, "c");
    assert_eq!(read("N:A\\;b;C,D").name.family, "A;b");
    assert_eq!(read("ORG:;;Unit;").organization.units, ["Unit"]);
    assert_eq!(read("NOTE:a\r\nNOTE: \r\nNOTE:b").note, "a\nb");
    assert_eq!(read("CATEGORIES:a, b\\,c,,\r\nCATEGORIES:d").categories, ["a", "b,c", "d"]);
    assert!(!read("PHOTO;ENCODING=b:\r\n").has_photo && read("PHOTO:\r\n QUJD").has_photo);
    assert_eq!(read("AGENT:\r\nBEGIN:VCARD\r\nTITLE:x\r\nEND:VCARD\r\nTITLE:y").title, "y");
    assert!(CardFields::read(b"TITLE:outside") == CardFields::default());
    assert_eq!(read("TITLE:\u{e4}").title, "\u{e4}");
    assert_eq!(CardFields::read(b"BEGIN:VCARD\nTITLE:\xff\nEND:VCARD").title, "\u{fffd}");
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(
        lines in prop::collection::vec(
            (prop::sample::select(NAMES.to_vec()), "[;:,=\"A-C\\\\.a-c \r\n\t-]{0,20}", prop::collection::vec(any::<u8>(), 0..20)),
            0..12,
        ),
        octets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut card = b"BEGIN:VCARD\r\n".to_vec();
        for ((name, _), text, bytes) in lines {
            card.extend([name.as_bytes(), text.as_bytes(), &bytes, b"\r\n"].concat());
        }
        let _ = CardFields::read(&card);
        let _ = CardFields::read(&octets);
    }
}
