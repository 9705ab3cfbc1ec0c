//! Encrypted connections: what is spoken, which certificate is shown, and when a new one takes over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::server::{Server, room};

/// A certificate and its key, in files.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// Makes a self-signed certificate for `localhost`.
    fn fresh(folder: &Path, name: &str) -> Self {
        let pair =
            Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&pair.key)
            .arg("-out")
            .arg(&pair.certificate)
            .output()
            .expect("the tests of TLS need the program openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        pair
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.certificate).unwrap()
    }

    /// Puts this pair where the server reads its own, the certificate last.
    fn install(&self, own: &Self) {
        std::fs::copy(&self.key, &own.key).unwrap();
        std::fs::copy(&self.certificate, &own.certificate).unwrap();
    }
}

/// Speaks TLS with the server, trusting these certificates.
fn connect(
    server: &Server,
    trusted: &[&Pair],
    protocols: &[&[u8]],
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|pair| roots.add(pair.der()).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.conn.complete_io(&mut stream.sock).unwrap();
    stream
}

/// The certificate that a new connection is shown.
fn shown(server: &Server, trusted: &[&Pair]) -> CertificateDer<'static> {
    let stream = connect(server, trusted, &[]);
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn hang_up(server: &Server) {
    let sent = Command::new("kill").args(["-HUP", &server.pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn certificates_are_spoken_with_and_replaced_on_sighup() {
    let folder = room();
    let (own, old, new) = (
        Pair::fresh(folder.path(), "own"),
        Pair::fresh(folder.path(), "old"),
        Pair::fresh(folder.path(), "new"),
    );
    old.install(&own);
    let server = Server::fresh(&[
        ("CARDKEEP_TLS__CERTIFICATE", own.certificate.to_str().unwrap()),
        ("CARDKEEP_TLS__KEY", own.key.to_str().unwrap()),
    ]);
    let both = [&old, &new];
    assert_eq!(shown(&server, &both), old.der());
    let second = connect(&server, &both, &[b"h2", b"http/1.1"]);
    assert_eq!(second.conn.alpn_protocol(), Some(&b"h2"[..]));
    let mut first = connect(&server, &both, &[b"http/1.1"]);
    first.write_all(b"PROPFIND /dav/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");

    new.install(&own);
    hang_up(&server);
    let deadline = Instant::now() + Duration::from_secs(20);
    while shown(&server, &both) != new.der() {
        assert!(Instant::now() < deadline, "the new certificate is not in force");
        std::thread::yield_now();
    }

    // A bad one does not replace it; the log line is how one knows that it was looked at.
    std::fs::write(&own.certificate, "no certificate").unwrap();
    hang_up(&server);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.log_tail(20).contains("the old one stays") {
        assert!(Instant::now() < deadline, "{}", server.log_tail(20));
        std::thread::yield_now();
    }
    assert_eq!(shown(&server, &both), new.der());
}
