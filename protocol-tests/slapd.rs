//! A real OpenLDAP server, Debian's slapd, in a directory of its own on free ports of the loopback
//! address: with TLS from an authority made for the test, an account that may read, and people whose
//! passwords are known. It ends with its value, and with the test process however that ends.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cardkeep::directory::{Address, Attributes, Cover, Kind, Scope, Settings};

use crate::server::room;

/// Where Debian has it.
const SLAPD: &str = "/usr/sbin/slapd";
pub const BASE: &str = "dc=example,dc=org";
pub const READER: &str = "cn=reader,dc=example,dc=org";
pub const READER_PASSWORD: &str = "reads-and-no-more";
const ROOT: &str = "cn=root,dc=example,dc=org";
const ROOT_PASSWORD: &str = "root-secret";

/// How it is set up.
#[derive(Clone)]
pub struct Setup {
    /// How many people there are.
    pub people: usize,
    /// It does content synchronisation.
    pub sync: bool,
    /// It tells deletions one by one.
    pub session_log: bool,
    /// It speaks to nobody without TLS.
    pub only_tls: bool,
    /// Photos have so many octets.
    pub photo: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { people: 1200, sync: true, session_log: true, only_tls: false, photo: 3000 }
    }
}

/// A running slapd.
pub struct Slapd {
    room: tempfile::TempDir,
    setup: Setup,
    pub port: u16,
    pub tls_port: u16,
    running: Option<Running>,
}

struct Running {
    child: Child,
    pid: u32,
}

/// A server, or a word on standard error that the test is left out.
pub fn start(test: &str, setup: Setup) -> Option<Slapd> {
    let there = Path::new(SLAPD).exists() && Command::new("ldapmodify").arg("-VV").output().is_ok();
    if !there {
        // Past the test harness, which keeps what a passed test prints to itself.
        let _ = writeln!(std::io::stderr(), "left out: {test}: slapd and ldap-utils are not installed");
        return None;
    }
    Some(Slapd::fresh(setup))
}

/// The name of a person's entry.
pub fn person(number: usize) -> String {
    format!("uid=u{number},ou=people,{BASE}")
}

/// The password of a person.
pub fn password(number: usize) -> String {
    format!("secret of {number}")
}

impl Slapd {
    fn fresh(setup: Setup) -> Self {
        let room = room();
        let (port, tls_port) = (free_port(), free_port());
        let mut slapd = Self { room, setup, port, tls_port, running: None };
        slapd.make_certificates();
        slapd.load();
        slapd.start();
        slapd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    /// The certificate of the authority.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// An authority that has nothing to do with it.
    pub fn other_ca(&self) -> PathBuf {
        self.path("other.pem")
    }

    /// What Cardkeep is told to reach it.
    pub fn settings(&self, cover: Cover) -> Settings {
        let port = if cover == Cover::Tls { self.tls_port } else { self.port };
        let scope =
            |base: &str, filter: &str| Scope { base: format!("{base},{BASE}"), filter: filter.into() };
        Settings {
            address: Address::Network { host: "localhost".into(), port, cover },
            ca_file: Some(self.ca()),
            reader: Some((READER.into(), READER_PASSWORD.into())),
            users: scope("ou=people", Kind::OpenLdap.user_filter()),
            groups: Some(scope("ou=groups", Kind::OpenLdap.group_filter())),
            kind: Kind::OpenLdap,
            attributes: Attributes::of(Kind::OpenLdap),
            timeout: Duration::from_secs(20),
            page_size: 500,
        }
    }

    fn make_certificates(&self) {
        let subject = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        for (name, extensions) in
            [("ca", "basicConstraints=critical,CA:TRUE"), ("other", "basicConstraints=critical,CA:TRUE")]
        {
            self.openssl(&[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                &format!("/CN={name}"),
                "-addext",
                extensions,
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.pem"),
            ]);
        }
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "own.key",
            "-out",
            "own.csr",
        ]);
        std::fs::write(self.path("own.ext"), subject).unwrap();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            "own.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "own.ext",
            "-out",
            "own.pem",
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let made = Command::new("openssl").args(arguments).current_dir(self.room.path()).output();
        let made = made.expect("the tests of TLS need the program openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn load(&self) {
        let place = self.room.path().display();
        let mut conf = String::new();
        for schema in ["core", "cosine", "inetorgperson", "nis"] {
            writeln!(conf, "include /etc/ldap/schema/{schema}.schema").unwrap();
        }
        write!(
            conf,
            "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload syncprov\n\
             pidfile {place}/slapd.pid\n\
             TLSCACertificateFile {place}/ca.pem\nTLSCertificateFile {place}/own.pem\nTLSCertificateKeyFile {place}/own.key\n"
        )
        .unwrap();
        if self.setup.only_tls {
            conf.push_str("security tls=1\n");
        }
        write!(
            conf,
            "database mdb\nsuffix {BASE}\nrootdn {ROOT}\nrootpw {ROOT_PASSWORD}\ndirectory {place}/db\n\
             maxsize 1073741824\ndbnosync\nindex objectClass,entryUUID,entryCSN eq\n\
             limits dn.exact=\"{READER}\" size=unlimited time=unlimited\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"{READER}\" read by anonymous auth by * none\n"
        )
        .unwrap();
        if self.setup.sync {
            conf.push_str("overlay syncprov\n");
            if self.setup.session_log {
                // Without the checkpoint it forgets deletions when it is killed.
                conf.push_str("syncprov-sessionlog 1000\nsyncprov-checkpoint 1 1\n");
            }
        }
        std::fs::write(self.path("slapd.conf"), conf).unwrap();
        std::fs::create_dir(self.path("db")).unwrap();
        std::fs::write(self.path("data.ldif"), content(&self.setup)).unwrap();
        let loaded = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-w", "-f"])
            .arg(self.path("slapd.conf"))
            .arg("-l")
            .arg(self.path("data.ldif"))
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }

    /// Starts it, on the ports that it had.
    pub fn start(&mut self) {
        // The shell's `read` ends when our end of the pipe closes, so it does not outlive the tests.
        let script = "\"$@\" </dev/null & pid=$!; echo pid $pid >&2; \
            while read -r line; do :; done; kill -9 $pid; wait";
        let urls = format!("ldap://127.0.0.1:{}/ ldaps://127.0.0.1:{}/", self.port, self.tls_port);
        let mut child = Command::new("sh")
            .args(["-c", script, "sh", SLAPD, "-d", "none", "-h", &urls, "-f"])
            .arg(self.path("slapd.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut pid, mut said) = (0, String::new());
        let up = lines.by_ref().map_while(Result::ok).any(|line| {
            if let Some(number) = line.strip_prefix("pid ") {
                pid = number.parse().unwrap();
            }
            said.push_str(&line);
            line.contains("slapd starting")
        });
        assert!(up, "slapd did not start: {said}");
        // Whatever it prints later must not fill the pipe.
        std::thread::spawn(move || for _line in lines {});
        self.running = Some(Running { child, pid });
        // It says so a moment before it listens.
        let deadline = Instant::now() + Duration::from_secs(30);
        for port in [self.port, self.tls_port] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "slapd does not listen");
                std::thread::yield_now();
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.running.as_ref().expect("slapd does not run").pid.to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.signal("-TERM");
        self.gone();
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.signal("-KILL");
        self.gone();
    }

    /// Waits until it is gone that somebody else killed.
    pub fn stop_dead(&mut self) {
        self.gone();
    }

    /// What a killer needs that has no hands on this.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().pid
    }

    fn gone(&mut self) {
        if let Some(mut running) = self.running.take() {
            while Path::new(&format!("/proc/{}/stat", running.pid)).exists() && !is_zombie(running.pid) {
                std::thread::yield_now();
            }
            drop(running.child.stdin.take());
            let _ = running.child.wait();
        }
    }

    /// It accepts connections and says nothing.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Changes entries, as `ldapmodify` reads it.
    pub fn change(&self, ldif: &str) {
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-D", ROOT, "-w", ROOT_PASSWORD]);
        command.args(["-H", &format!("ldap://127.0.0.1:{}/", self.port)]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Replaces one attribute of an entry.
    pub fn set(&self, dn: &str, attribute: &str, value: &str) {
        self.change(&format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"));
    }

    /// Deletes an entry.
    pub fn delete(&self, dn: &str) {
        self.change(&format!("dn: {dn}\nchangetype: delete\n"));
    }

    /// Renames an entry.
    pub fn rename(&self, dn: &str, rdn: &str) {
        self.change(&format!("dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\n"));
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// People, among them one without a user name; groups: of a thousand, in one another, of user names, of none.
fn content(setup: &Setup) -> String {
    let mut ldif = format!(
        "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n\
         dn: {READER}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: {READER_PASSWORD}\n\n\
         dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: ou=groups,{BASE}\nobjectClass: organizationalUnit\nou: groups\n\n\
         dn: cn=nameless,ou=people,{BASE}\nobjectClass: inetOrgPerson\ncn: nameless\nsn: nameless\n\n"
    );
    let photo = photo(setup.photo);
    for number in 0..setup.people {
        let dn = person(number);
        let password = password(number);
        write!(
            ldif,
            "dn: {dn}\nobjectClass: inetOrgPerson\nuid: u{number}\ncn: User {number}\nsn: Number {number}\n\
             givenName: User\nmail: u{number}@example.org\nmail: user.{number}@example.org\n\
             telephoneNumber: +49 30 {number}\nmobile: +49 170 {number}\ntitle: Tester\no: Example GmbH\n\
             ou: Department {}\nmanager: {}\nuserPassword: {password}\n",
            number % 7,
            person(0)
        )
        .unwrap();
        if number % 100 == 0 {
            writeln!(ldif, "jpegPhoto:: {photo}").unwrap();
        }
        ldif.push('\n');
    }
    let group = |name: &str, members: Vec<String>| {
        let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
        format!("dn: cn={name},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {name}\n{members}\n")
    };
    let of = |name: &str| format!("cn={name},ou=groups,{BASE}");
    ldif += &group("staff", (0..setup.people.min(1000)).map(person).collect());
    ldif += &group("nested", vec![of("staff"), person(1)]);
    ldif += &group("round", vec![of("about"), person(2)]);
    ldif += &group("about", vec![of("round"), person(3)]);
    write!(
        ldif,
        "dn: cn=unix,ou=groups,{BASE}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 1000\nmemberUid: u1\nmemberUid: u2\n\n\
         dn: cn=unique,ou=groups,{BASE}\nobjectClass: groupOfUniqueNames\ncn: unique\nuniqueMember: {}\n\n",
        person(4)
    )
    .unwrap();
    ldif
}

/// What looks like a JPEG, in base64.
fn photo(octets: usize) -> String {
    use base64::Engine as _;
    let mut photo = b"\xff\xd8\xff\xe0".to_vec();
    photo.resize(octets.max(4), b'p');
    base64::engine::general_purpose::STANDARD.encode(photo)
}
