//! What the program writes about itself names nobody: not in its log, its metrics or its errors.

use crate::http::{Request, Response, basic};
use crate::server::Server;
use crate::short;

/// Words that stand for personal data; none may come out anywhere but in the card itself.
const SECRETS: [&str; 7] = [
    "Zebediah",
    "zebediah-uid",
    "zebediah-member",
    "Quillfeather",
    "quillfeather.example",
    "hidden-property",
    "mistyped-password",
];

/// What the command line tells a running server is not written down either.
fn an_account_comes_and_goes(server: &Server) {
    let add = ["user", "add", "zed", "--display-name", "Zebediah", "--email", "z@quillfeather.example"];
    server.run(&[&add[..], &["--password-stdin"]].concat(), "mistyped-password\n");
    server.run(&["user", "passwd", "zed", "--password-stdin"], "mistyped-password 2\n");
    server.run(&["token", "create", "--user", "zed", "--kind", "app", "--label", "Quillfeather"], "");
    server.run(&["user", "remove", "zed", "--erase"], "");
}

#[test]
fn logs_metrics_and_errors_hold_no_personal_data() {
    let server = Server::fresh(&[("CARDKEEP_LOG__LEVEL", "trace")]);
    let who = server.account("logged");
    an_account_comes_and_goes(&server);
    let book = "/dav/addressbooks/logged/contacts/";
    let path = format!("{book}zebediah-member.vcf");
    let ask = |method: &str, path: &str, body: String| -> Response {
        server.once(
            &Request::new(method, path)
                .header("Authorization", &who.basic())
                .header("User-Agent", "Quillfeather's phone")
                .header("Depth", "0")
                .body(body),
        )
    };
    let card = short::card("3.0", "Zebediah", "zebediah-uid")
        .replace("END:VCARD", "EMAIL:z@quillfeather.example\r\nNOTE:Quillfeather\r\nEND:VCARD");
    assert_eq!(ask("PUT", &path, card.clone()).status, 201);
    let patch = short::body(&["@proppatch X:note=hidden-property"]).unwrap().unwrap();
    let patch = String::from_utf8(patch).unwrap();
    assert_eq!(ask("PROPPATCH", &path, patch).status, 207);
    let broken = card.replace("END:VCARD", "");
    let twice = ask("PUT", &format!("{book}other-zebediah-member.vcf"), card.clone());
    assert_eq!(twice.status, 409);
    let errors = [
        ask("PUT", &path, broken),
        ask("PUT", &path, "Zebediah Quillfeather".to_owned()),
        ask("PROPFIND", &path, "<x>Zebediah</y>".to_owned()),
        ask("REPORT", book, "<Zebediah xmlns='urn:quillfeather.example'/>".to_owned()),
        ask("REPORT", book, short::sync("http://quillfeather.example/", None, &["D:getetag"])),
        ask("GET", &format!("{book}no-zebediah-member.vcf"), String::new()),
        ask("GET", "/dav/addressbooks/Zebediah/Quillfeather/", String::new()),
        ask("GET", "/Zebediah?q=Quillfeather", String::new()),
        ask("MOVE", &path, String::new()),
        server.once(
            &Request::new("PROPFIND", "/dav/")
                .header("Authorization", &basic("Zebediah", "mistyped-password")),
        ),
    ];
    for answer in errors {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        for secret in SECRETS {
            assert!(!answer.text().contains(secret), "{secret} in {}", answer.text());
        }
    }
    assert_eq!(ask("DELETE", &path, String::new()).status, 204);

    let metrics = server.once(&Request::new("GET", "/metrics"));
    assert_eq!(metrics.status, 200);
    let log = server.log_tail(10_000);
    assert!(log.contains("PROPPATCH"), "the log has no line for a request: {log}");
    for secret in SECRETS.iter().chain([&who.password.as_str()]) {
        assert!(!metrics.text().contains(secret), "{secret} in the metrics");
        let line = log.lines().find(|l| l.contains(secret));
        assert!(line.is_none(), "{secret} in the log: {}", line.unwrap_or_default());
    }
}
