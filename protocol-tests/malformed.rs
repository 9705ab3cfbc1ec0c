//! Directories that answer with what is no answer: garbage, BER cut short or nested without end,
//! controls of other shapes, answers to what was not asked. Each is an error within its time, and the
//! process lives on.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use cardkeep::directory::{Address, Attributes, Cover, Kind, Ldap, Scope, Settings};
use cardkeep::service::directory::{Directory as _, DirectoryError, Gone, Reading};

const TIMEOUT: Duration = Duration::from_millis(400);

/// What a directory says to each thing that it is asked, and whether it hangs up then.
struct Script {
    answers: Vec<Vec<u8>>,
    hangs_up: bool,
}

/// Plays it to whoever connects, for ever; its port.
fn play(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            for answer in &script.answers {
                if !heard(&mut stream) || stream.write_all(answer).is_err() {
                    break;
                }
            }
            if !script.hangs_up {
                open.push(stream);
            }
        }
    });
    port
}

/// Reads one request, all of which are short.
fn heard(stream: &mut TcpStream) -> bool {
    let mut head = [0; 2];
    if stream.read_exact(&mut head).is_err() {
        return false;
    }
    let mut length = usize::from(head[1]);
    if length >= 0x80 {
        let mut octets = vec![0; length & 0x7f];
        if stream.read_exact(&mut octets).is_err() {
            return false;
        }
        length = octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    }
    stream.read_exact(&mut vec![0; length]).is_ok()
}

fn settings(port: u16, cover: Cover) -> Settings {
    Settings {
        address: Address::Network { host: "127.0.0.1".into(), port, cover },
        ca_file: None,
        reader: Some(("cn=reader".into(), "secret".into())),
        users: Scope { base: "ou=people".into(), filter: "(objectClass=person)".into() },
        groups: None,
        kind: Kind::OpenLdap,
        attributes: Attributes::of(Kind::OpenLdap),
        timeout: TIMEOUT,
        page_size: 10,
    }
}

fn read(settings: Settings, since: Option<&[u8]>) -> Result<Reading, DirectoryError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let done = runtime.block_on(Ldap::new(settings).unwrap().read(since));
    runtime.shutdown_background();
    done
}

fn bind(settings: Settings) -> Result<bool, DirectoryError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let done = runtime.block_on(Ldap::new(settings).unwrap().bind("uid=alice", ALICE, "secret"));
    runtime.shutdown_background();
    done
}

/// An element.
fn e(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        length @ 0..=0x7f => bytes.push(length as u8),
        length => {
            bytes.push(0x84);
            bytes.extend((length as u32).to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

fn message(id: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    e(0x30, &[e(0x02, &[id]), parts.concat()].concat())
}

fn result(tag: u8, code: u8) -> Vec<u8> {
    e(tag, &[e(0x0a, &[code]), e(0x04, b""), e(0x04, b"")].concat())
}

fn attribute(name: &str, values: &[&[u8]]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| e(0x04, value)).collect();
    e(0x30, &[e(0x04, name.as_bytes()), e(0x31, &values)].concat())
}

fn entry(dn: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    e(0x64, &[e(0x04, dn.as_bytes()), e(0x30, &attributes.concat())].concat())
}

fn control(kind: &str, value: &[u8]) -> Vec<u8> {
    e(0x30, &[e(0x04, kind.as_bytes()), e(0x04, value)].concat())
}

fn controls(all: &[Vec<u8>]) -> Vec<u8> {
    e(0xa0, &all.concat())
}

const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const PAGED: &str = "1.2.840.113556.1.4.319";

/// Yes to the bind (message 1), then what it can do (message 2).
fn prelude(supported: &str) -> Vec<Vec<u8>> {
    let root = entry("", &[attribute("supportedControl", &[supported.as_bytes()])]);
    vec![message(1, &[result(0x61, 0)]), [message(2, &[root]), message(2, &[result(0x65, 0)])].concat()]
}

/// The prelude and one more answer, to message 3.
fn after_prelude(supported: &str, answer: Vec<u8>) -> Vec<Vec<u8>> {
    let mut answers = prelude(supported);
    answers.push(answer);
    answers
}

const ALICE: &str = "00010203-0405-0607-0809-0a0b0c0d0e0f";

fn alice() -> Vec<u8> {
    entry("uid=alice", &[attribute("entryUUID", &[ALICE.as_bytes()]), attribute("uid", &[b"alice"])])
}

fn state() -> Vec<u8> {
    let octets: Vec<u8> = (0..16).collect();
    control(STATE, &e(0x30, &[e(0x0a, &[1]), e(0x04, &octets)].concat()))
}

fn sync_done() -> Vec<u8> {
    message(3, &[result(0x65, 0), controls(&[control(DONE, &e(0x30, &e(0x04, b"c")))])])
}

#[test]
fn the_answers_that_the_others_are_made_of_are_read() {
    let plain = [message(3, &[alice()]), message(3, &[result(0x65, 0)])].concat();
    let synced = [message(3, &[alice(), controls(&[state()])]), sync_done()].concat();
    for (supported, answer) in [("1.2.3", plain), (SYNC, synced)] {
        let port = play(Script { answers: after_prelude(supported, answer), hangs_up: false });
        let reading = read(settings(port, Cover::Clear), None).unwrap();
        assert_eq!(reading.people[0].name, "alice");
        assert_eq!(reading.gone, Gone::AllBut([reading.people[0].id.clone()].into()));
    }
    let yes = |id| message(id, &[result(0x61, 0)]);
    let found = [message(2, &[alice()]), message(2, &[result(0x65, 0)])].concat();
    let port = play(Script { answers: vec![yes(1), found, yes(3)], hangs_up: false });
    assert_eq!(bind(settings(port, Cover::Clear)), Ok(true));
}

/// What is wrong, and every answer until then.
fn wrong() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut deep = Vec::new();
    for _ in 0..20_000 {
        deep = e(0x30, &deep);
    }
    let nested = [&[0x30, 0x84, 0, 0, 0x40, 0][..], &b"\x30\x80".repeat(0x2000)].concat();
    let yes = message(1, &[result(0x61, 0)]);
    let plain = |answer: Vec<u8>| after_prelude("1.2.3", answer);
    let synced = |answer: Vec<u8>| after_prelude(SYNC, answer);
    let odd = |kind: &str, value: &[u8]| controls(&[control(kind, value)]);
    let info = |value: &[u8]| {
        message(3, &[e(0x79, &[e(0x80, b"1.3.6.1.4.1.4203.1.9.1.4"), e(0x81, value)].concat())])
    };
    vec![
        ("garbage", vec![b"\x00\xff\x13\x37 what?".repeat(50)]),
        ("HTTP", vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]),
        ("nothing", vec![vec![]]),
        ("an empty message", vec![e(0x30, b"")]),
        ("no operation", vec![e(0x30, &e(0x02, &[1]))]),
        ("a message cut short", vec![yes[..yes.len() - 3].to_vec()]),
        (
            "a length beyond its message",
            vec![{
                let mut bytes = yes.clone();
                bytes[6] = 0x7f;
                bytes
            }],
        ),
        ("a length without end", vec![b"\x30\x80\x02\x01\x01\0\0".to_vec()]),
        ("a length of gigabytes", vec![[&b"\x30\x84\x7f\xff\xff\xff"[..], &[0; 4096]].concat()]),
        ("a length of nine octets", vec![b"\x30\x89\x01\x01\x01\x01\x01\x01\x01\x01\x01".to_vec()]),
        ("elements in elements", vec![message(1, &[deep])]),
        ("elements in elements without end", vec![nested]),
        ("a result without a code", vec![message(1, &[e(0x61, b"")])]),
        (
            "a text that is not UTF-8",
            vec![message(1, &[e(0x61, &[e(0x0a, &[49]), e(0x04, b"\xff"), e(0x04, b"")].concat())])],
        ),
        ("a control without a name", vec![message(1, &[result(0x61, 0), e(0xa0, &e(0x30, b""))])]),
        ("another's answer", vec![message(9, &[result(0x61, 0)])]),
        ("an entry for a bind", vec![message(1, &[alice()])]),
        ("a bind for a search", plain(message(3, &[result(0x61, 0)]))),
        ("an extended answer for a search", plain(message(3, &[result(0x78, 0)]))),
        ("an entry without attributes", plain(message(3, &[e(0x64, &e(0x04, b"uid=a"))]))),
        (
            "an entry of another shape",
            plain(message(3, &[e(0x64, &[e(0x04, b"uid=a"), e(0x30, &e(0x04, b"x"))].concat())])),
        ),
        ("an entry, and no end", plain(message(3, &[alice()]))),
        ("a page's end of another shape", plain(message(3, &[result(0x65, 0), odd(PAGED, b"\x30\x00")]))),
        (
            "a page's end that is cut short",
            plain(message(3, &[result(0x65, 0), odd(PAGED, b"\x30\x7f\x02")])),
        ),
        ("a synchronisation without its end", synced(message(3, &[result(0x65, 0)]))),
        ("an end of another shape", synced(message(3, &[result(0x65, 0), odd(DONE, b"\x04\x00")]))),
        ("an end with an empty flag", synced(message(3, &[result(0x65, 0), odd(DONE, b"\x30\x02\x01\x00")]))),
        ("an entry without its state", synced([message(3, &[alice()]), sync_done()].concat())),
        ("a state that is none", synced(message(3, &[alice(), odd(STATE, b"\x30\x03\x0a\x01\x63")]))),
        ("a state of garbage", synced(message(3, &[alice(), odd(STATE, b"\xff\xff\xff")]))),
        ("a word of garbage", synced(info(b"\xff\xff"))),
        ("a word without a set", synced(info(b"\xa3\x00"))),
        ("a word with short ids", synced(info(b"\xa3\x05\x31\x03\x04\x01x"))),
        ("a word that is none", synced(message(3, &[e(0x79, b"")]))),
    ]
}

#[test]
fn what_is_no_answer_is_an_error_in_time() {
    for (name, answers) in wrong() {
        for hangs_up in [true, false] {
            let only_bind = answers.len() == 1;
            let port = play(Script { answers: answers.clone(), hangs_up });
            let began = Instant::now();
            let reading = read(settings(port, Cover::Clear), None);
            assert!(reading.is_err(), "{name}: it was taken for a reading");
            if only_bind {
                assert!(bind(settings(port, Cover::Clear)).is_err(), "{name}: it was taken for an answer");
            }
            assert!(began.elapsed() < 12 * TIMEOUT, "{name}: {:?}", began.elapsed());
        }
    }
}

#[test]
fn pages_without_end_come_to_one() {
    let page =
        |id| message(id, &[result(0x65, 0), controls(&[control(PAGED, b"\x30\x06\x02\x01\x00\x04\x01x")])]);
    let mut answers = prelude("1.2.3");
    answers.extend((3..120).map(page));
    let port = play(Script { answers, hangs_up: false });
    assert!(matches!(read(settings(port, Cover::Clear), None), Err(DirectoryError::Malformed(_))));
}

#[test]
fn no_password_follows_a_start_tls_that_failed() {
    let answer = |code| message(1, &[result(0x78, code)]);
    for (name, said) in [
        ("refused", answer(52)),
        ("more after the answer", [answer(0), message(1, &[result(0x61, 0)])].concat()),
        ("a bind's answer", message(1, &[result(0x61, 0)])),
        ("garbage", b"\x30\x03abc".to_vec()),
        ("no TLS then", answer(0)),
        ("too much", [b"\x30\x84\x01\x00\x00\x00".to_vec(), vec![0; 10_000]].concat()),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard_then = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(heard(&mut stream));
            let _ = stream.write_all(&said);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            rest
        });
        let untrusted = bind(Settings { ca_file: Some(authority()), ..settings(port, Cover::StartTls) });
        assert!(untrusted.is_err(), "{name}");
        let rest = heard_then.join().unwrap();
        assert!(!rest.windows(6).any(|part| part == b"secret"), "{name}: the password was sent");
    }
}

/// Any certificate: these tests end before one is looked at.
fn authority() -> std::path::PathBuf {
    static MADE: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let room = MADE.get_or_init(|| {
        let room = crate::server::room();
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"])
            .current_dir(room.path())
            .output()
            .expect("the tests of TLS need the program openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        room
    });
    room.path().join("ca.pem")
}

/// Answers that were right, with one octet changed: whatever comes of them, it comes in time.
#[test]
fn damaged_answers_do_no_harm() {
    let whole = [message(3, &[alice(), controls(&[state()])]), sync_done()].concat();
    let mut seed = 0x2026_1122_u64;
    let mut next = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..150 {
        let mut damaged = whole.clone();
        let at = next(damaged.len());
        damaged[at] = next(256) as u8;
        let port = play(Script { answers: after_prelude(SYNC, damaged), hangs_up: true });
        let began = Instant::now();
        let _ = read(settings(port, Cover::Clear), None);
        assert!(began.elapsed() < 12 * TIMEOUT);
    }
}
