//! That requests are read in every form that clients send, and bounded.

use crate::service::view::PropertyChange;

use super::super::read::parse;
use super::*;

fn name(namespace: &str, local: &str) -> PropertyName {
    PropertyName { namespace: namespace.into(), local: local.into() }
}

#[test]
fn propfind_has_its_three_forms() {
    assert_eq!(propfind(b"").unwrap(), Asked::all());
    let body = b"<propfind xmlns='DAV:'><allprop/><include><a/></include></propfind>";
    let all = propfind(body).unwrap();
    assert_eq!((all.which, all.names.len()), (Which::All, 1));
    let body = b"<propfind xmlns='DAV:' xmlns:x='X'><x:unknown/><prop><a/><x:a/><a/></prop></propfind>";
    let some = propfind(body).unwrap();
    assert_eq!(some.names, [name("DAV:", "a"), name("X", "a")]);
    for bad in [
        "<propfind xmlns='DAV:'/>",
        "<propfind/>",
        "<prop xmlns='DAV:'/>",
        "<propfind xmlns='DAV:'><allprop/><propname/></propfind>",
    ] {
        assert_eq!(propfind(bad.as_bytes()), Err(BadXml::Unexpected), "{bad}");
    }
}

#[test]
fn names_that_an_answer_repeats_are_bounded() {
    let many: String = (0..=MAX_NAMES).map(|i| format!("<p{i}/>")).collect();
    let long: String = (0..70).map(|i| format!("<p{i} xmlns='{}'/>", "n".repeat(1_000))).collect();
    for names in [many, long] {
        let body = format!("<propfind xmlns='DAV:'><prop>{names}</prop></propfind>");
        assert_eq!(propfind(body.as_bytes()), Err(BadXml::TooLarge));
    }
    let wide = "<property name='a'><property name='b'/></property>".repeat(MAX_NAMES / 2 + 1);
    let long = format!("<property name='a' namespace='{}'/>", "n".repeat(MAX_NAME_BYTES));
    for names in [wide, long] {
        let root = parse(format!("<e xmlns='DAV:'>{names}</e>").as_bytes()).unwrap();
        assert_eq!(expand(&root), Err(BadXml::TooLarge));
    }
}

#[test]
fn values_that_grow_when_they_stand_alone_are_bounded() {
    let inner = "<x:a/>".repeat(10_000);
    let uri = "n".repeat(1_000);
    let body = format!(
        "<propertyupdate xmlns='DAV:' xmlns:x='{uri}'><set><prop><p>{inner}</p></prop></set></propertyupdate>"
    );
    assert_eq!(proppatch(body.as_bytes()), Err(BadXml::TooLarge));
}

#[test]
fn steps_keep_their_order() {
    let body = b"<propertyupdate xmlns='DAV:'><remove><prop><a/></prop></remove>\
        <set><prop xml:lang='en'><a>1</a><b/></prop></set></propertyupdate>";
    let steps = proppatch(body).unwrap();
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[0], PropertyChange::Remove(name("DAV:", "a")));
    assert!(matches!(&steps[1], PropertyChange::Set(p) if p.name.local == "a"));
    assert_eq!(proppatch(b""), Err(BadXml::Empty));
    assert_eq!(proppatch(b"<propertyupdate xmlns='DAV:'/>"), Err(BadXml::Unexpected));
}

#[test]
fn sync_tolerates_what_clients_leave_out() {
    let read = |xml: &str| sync(&parse(xml.as_bytes()).unwrap());
    let bare = read("<sync-collection xmlns='DAV:'><sync-token/></sync-collection>").unwrap();
    assert_eq!((bare.token, bare.infinite, bare.limit), (None, false, None));
    let full = read(
        "<sync-collection xmlns='DAV:'><limit><nresults> 5 </nresults></limit><prop/>\
         <sync-level>infinite</sync-level><sync-token> t </sync-token></sync-collection>",
    )
    .unwrap();
    assert_eq!(full.token.as_deref(), Some("t"));
    assert!(full.infinite && full.limit == Some(5));
    for bad in [
        "<s xmlns='DAV:'><sync-level>2</sync-level></s>",
        "<s xmlns='DAV:'><limit><nresults>-1</nresults></limit></s>",
        "<s xmlns='DAV:'><limit/></s>",
    ] {
        assert_eq!(read(bad), Err(BadXml::Unexpected), "{bad}");
    }
}

#[test]
fn address_data_is_read_with_its_parts() {
    let xml = "<m xmlns='urn:ietf:params:xml:ns:carddav' xmlns:D='DAV:'><D:prop><D:getetag/>\
        <address-data content-type='text/vcard' version='4.0'><prop name='FN'/>\
        <prop name='NOTE' novalue='yes'/></address-data></D:prop><D:href> /a </D:href></m>";
    let got = multiget(&parse(xml.as_bytes()).unwrap()).unwrap();
    assert_eq!(got.hrefs, ["/a"]);
    assert_eq!(got.asked.names.len(), 2);
    let data = got.asked.address_data.unwrap();
    assert_eq!(data.version.as_deref(), Some("4.0"));
    assert_eq!(data.properties, [("FN".to_owned(), false), ("NOTE".to_owned(), true)]);
}

#[test]
fn searches_for_principals_are_bounded() {
    let asked = |searches: usize, names: usize| {
        let names: String = (0..names).map(|at| format!("<p{at}/>")).collect();
        let one = format!("<property-search><prop>{names}</prop><match>a</match></property-search>");
        let (all, root) = (one.repeat(searches), "principal-property-search");
        let body = format!("<{root} xmlns='DAV:' test='anyof'>{all}<allprop/></{root}>");
        principal_search(&parse(body.as_bytes()).unwrap()).map(|search| search.searches.len())
    };
    assert_eq!(asked(50, 4), Ok(50));
    for (searches, names) in [(51, 1), (1, 201), (3, 100)] {
        assert_eq!(asked(searches, names), Err(BadXml::Unexpected), "{searches} {names}");
    }
}
