//! Reads a `.http` file into exchanges. `README.md` is the description of the format.

/// One file.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The ids of `protocol.md` it names.
    pub ids: Vec<String>,
    /// The `User-Agent` of its requests.
    pub agent: Option<String>,
    /// No credentials by default.
    pub anonymous: bool,
    /// The exchanges, in order.
    pub exchanges: Vec<Exchange>,
}

/// One request and what is expected of its answer. Lines keep their placeholders.
#[derive(Debug, Default, Clone)]
pub struct Exchange {
    /// What it shows.
    pub title: String,
    /// The line of the file it begins at, from 1.
    pub line: usize,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Header lines.
    pub headers: Vec<(String, String)>,
    /// Body lines.
    pub body: Vec<String>,
    /// `207`, `201|204`, `2xx`.
    pub status: String,
    /// Header expectations.
    pub expect_headers: Vec<(String, String)>,
    /// Assertion lines.
    pub assertions: Vec<String>,
    /// The expected document, if there is one.
    pub document: Option<Document>,
}

/// A document at the end of an exchange.
#[derive(Debug, Clone)]
pub struct Document {
    /// XML, else text.
    pub xml: bool,
    /// Its text.
    pub text: String,
    /// Its first and one past its last line in the file, from 0.
    pub span: (usize, usize),
}

/// The ids in a line such as `# IDS: DAV-1 HTTP-2 — why`.
pub fn ids(line: &str) -> Vec<String> {
    let head = line.split('—').next().unwrap_or_default();
    head.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|w| is_id(w))
        .map(str::to_owned)
        .collect()
}

/// Is this word an id, `SYNC-12`?
pub fn is_id(word: &str) -> bool {
    word.split_once('-').is_some_and(|(group, number)| {
        (1..=5).contains(&group.len())
            && group.bytes().all(|b| b.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Reads a whole file.
pub fn parse(text: &str) -> Result<Transcript, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut transcript = Transcript::default();
    let first = lines.first().copied().unwrap_or_default();
    let Some(head) = first.strip_prefix("# IDS:") else {
        return Err("the first line is not `# IDS: …`".to_owned());
    };
    transcript.ids = ids(head);
    if transcript.ids.is_empty() || !head.contains('—') {
        return Err("the first line needs ids, a dash and a sentence".to_owned());
    }
    let starts: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].starts_with("### ")).collect();
    let end_of_head = starts.first().copied().unwrap_or(lines.len());
    for line in &lines[1..end_of_head] {
        if let Some(agent) = line.strip_prefix("# agent:") {
            transcript.agent = Some(agent.trim().to_owned());
        } else if line.trim() == "# anonymous" {
            transcript.anonymous = true;
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            return Err(format!("a stray line before the first exchange: {line}"));
        }
    }
    for (n, &start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).copied().unwrap_or(lines.len());
        let exchange = exchange(&lines, start, end).map_err(|why| format!("line {}: {why}", start + 1))?;
        transcript.exchanges.push(exchange);
    }
    if transcript.exchanges.is_empty() {
        return Err("no exchange".to_owned());
    }
    Ok(transcript)
}

fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("not a header line: {line}"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn exchange(lines: &[&str], start: usize, end: usize) -> Result<Exchange, String> {
    let mut exchange =
        Exchange { title: lines[start][4..].trim().to_owned(), line: start + 1, ..Exchange::default() };
    let mut at = start + 1;
    while at < end && (lines[at].starts_with('#') || lines[at].trim().is_empty()) {
        at += 1;
    }
    let request = lines.get(at).copied().unwrap_or_default();
    let (method, path) = request.split_once(' ').ok_or_else(|| format!("no request line: {request}"))?;
    exchange.method = method.to_owned();
    exchange.path = path.trim().to_owned();
    at += 1;
    let arrow = (at..end).find(|&i| lines[i].starts_with("=> ")).ok_or("no `=> STATUS` line")?;
    while at < arrow && !lines[at].trim().is_empty() {
        exchange.headers.push(header(lines[at])?);
        at += 1;
    }
    exchange.body = trimmed(&lines[(at + 1).min(arrow)..arrow]);
    exchange.status = lines[arrow][3..].trim().to_owned();
    at = arrow + 1;
    while at < end && !lines[at].trim().is_empty() {
        exchange.expect_headers.push(header(lines[at])?);
        at += 1;
    }
    expectations(lines, at, end, &mut exchange)?;
    Ok(exchange)
}

fn trimmed(lines: &[&str]) -> Vec<String> {
    let end = lines.iter().rposition(|l| !l.trim().is_empty()).map_or(0, |i| i + 1);
    lines[..end].iter().map(|l| (*l).to_owned()).collect()
}

fn expectations(lines: &[&str], mut at: usize, end: usize, exchange: &mut Exchange) -> Result<(), String> {
    while at < end {
        let line = lines[at];
        if line.trim().is_empty() || line.starts_with('#') {
            at += 1;
            continue;
        }
        let xml = line.starts_with('<');
        if xml || line.trim() == "text:" {
            let first = if xml { at } else { at + 1 };
            let body = trimmed(&lines[first..end]);
            exchange.document =
                Some(Document { xml, span: (first, first + body.len()), text: body.join("\n") });
            return Ok(());
        }
        let word = line.split([':', ' ']).next().unwrap_or_default();
        if ![
            "empty",
            "contains",
            "lacks",
            "count",
            "hrefs",
            "prop",
            "status",
            "noresponse",
            "value",
            "exists",
            "absent",
            "store-calls",
        ]
        .contains(&word)
        {
            return Err(format!("not an assertion: {line}"));
        }
        exchange.assertions.push(line.trim_end().to_owned());
        at += 1;
    }
    Ok(())
}

#[test]
fn a_file_is_read() {
    let text = "# IDS: DAV-1 X-2 — why\n# agent: A/1\n\n### one\nPUT /{user}\nA: b\n\nx\n\ny\n\n=> 201|204\nETag: {e}\n\ncount: D:a 1\n<a>\n</a>\n\n### two\nGET /\n=> 200\n";
    let t = parse(text).unwrap();
    assert_eq!(t.ids, ["DAV-1", "X-2"]);
    assert_eq!(t.exchanges.len(), 2);
    assert_eq!(t.exchanges[0].body, ["x", "", "y"]);
    assert_eq!(t.exchanges[0].document.as_ref().unwrap().span, (15, 17));
    assert!(parse("### a\nGET /\n=> 200").is_err());
}
