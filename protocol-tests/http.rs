//! A small HTTP/1.1 client with full control over every byte it sends. It must not know WebDAV,
//! and shares no code with the server, so that a fault in one cannot hide in the other.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The final status.
    pub status: u16,
    /// Interim answers before it, such as 100.
    pub interim: Vec<u16>,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// The server will close, or has closed, the connection.
    pub closes: bool,
}

impl Response {
    /// All values of a header, joined as RFC 9110 §5.3 allows.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }

    /// The body as text, whatever it holds.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection; keeps what it read too much for the next answer.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects. Reading waits long enough for a busy machine, never for ever.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The socket, for tests that read or write slowly.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0u8; 16 * 1024];
        let n = self.stream.read(&mut piece)?;
        self.read.extend_from_slice(&piece[..n]);
        Ok(n)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.read.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.fill()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed in a line"));
            }
        }
    }

    fn take(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < n {
            if self.fill()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed in a body"));
            }
        }
        Ok(self.read.drain(..n).collect())
    }

    /// Reads one answer. `bodyless` for HEAD, whose Content-Length describes a body that never comes.
    pub fn receive(&mut self, bodyless: bool) -> io::Result<Response> {
        let mut answer = Response::default();
        loop {
            let status_line = self.line()?;
            let mut words = status_line.splitn(3, ' ');
            answer.version = words.next().unwrap_or_default().to_owned();
            answer.status = words
                .next()
                .and_then(|s| s.parse().ok())
                .ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
            answer.headers.clear();
            loop {
                let line = self.line()?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or((line.as_str(), ""));
                answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            if (100..200).contains(&answer.status) {
                answer.interim.push(answer.status);
            } else {
                break;
            }
        }
        answer.body = self.body(&answer, bodyless)?;
        let connection = answer.header("connection").unwrap_or_default();
        answer.closes = connection.eq_ignore_ascii_case("close")
            || (answer.version == "HTTP/1.0" && !connection.eq_ignore_ascii_case("keep-alive"));
        Ok(answer)
    }

    fn body(&mut self, answer: &Response, bodyless: bool) -> io::Result<Vec<u8>> {
        if bodyless || answer.status == 204 || answer.status == 304 {
            return Ok(Vec::new());
        }
        let chunked =
            answer.header("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
        if chunked {
            let mut body = Vec::new();
            loop {
                let line = self.line()?;
                let size = line.split(';').next().unwrap_or_default().trim().to_owned();
                let size = usize::from_str_radix(&size, 16)
                    .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
                if size == 0 {
                    while !self.line()?.is_empty() {}
                    return Ok(body);
                }
                body.extend(self.take(size)?);
                self.line()?;
            }
        }
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| io::Error::other("Content-Length is no number"))?;
            return self.take(length);
        }
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.read))
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Request {
    /// `PROPFIND`.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// Header lines in order; `Host` and `Content-Length` come by themselves.
    pub headers: Vec<(String, String)>,
    /// The body; `None` sends no `Content-Length`.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// The bytes on the wire.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        if !self.has("Host") {
            out.extend(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            out.extend(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(body) = &self.body
            && !self.has("Content-Length")
            && !self.has("Transfer-Encoding")
        {
            out.extend(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend(b"\r\n");
        if let Some(body) = &self.body {
            out.extend(body);
        }
        out
    }
}

/// The value of an `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {token}")
}

/// A client that keeps its connection and opens a new one when the server closed it.
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Client {
    /// A client of this server; connects with the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends one request and reads its answer. A kept connection may have been closed meanwhile
    /// (RFC 9112 §9.3.1): then, and only then, it is tried once more on a new one.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let bytes = request.bytes(&self.address.to_string());
        let bodyless = request.method == "HEAD";
        let kept = self.connection.take();
        if let Some(connection) = kept
            && let Ok(answer) = self.over(connection, &bytes, bodyless)
        {
            return Ok(answer);
        }
        let connection = Connection::open(self.address)?;
        self.over(connection, &bytes, bodyless)
    }

    fn over(&mut self, mut connection: Connection, bytes: &[u8], bodyless: bool) -> io::Result<Response> {
        connection.send(bytes)?;
        let answer = connection.receive(bodyless)?;
        if !answer.closes {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}
