//! Lines to octets: CRLF, folds, quoted and encoded parameters (RFC 6350 §3.2, RFC 6868; VC-3,
//! VC-15). Knows no property by name.

use super::property::{Line, Parameter, Property};

/// The longest physical line, without its line break.
const WIDTH: usize = 75;

/// Writes logical lines as a vCard has them on the wire.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
    line: String,
}

impl Writer {
    /// A writer that expects about so many octets.
    pub fn with_capacity(octets: usize) -> Self {
        Self { out: Vec::with_capacity(octets), line: String::new() }
    }

    /// Writes a property or an unknown line.
    pub fn line(&mut self, line: &Line) {
        match line {
            Line::Property(property) => self.property(property),
            Line::Unknown(text) => self.raw(text),
        }
    }

    /// Writes a property; parts that were not touched keep their spelling.
    pub fn property(&mut self, property: &Property) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        if let Some(group) = &property.group {
            line.push_str(group);
            line.push('.');
        }
        line.push_str(&property.name);
        for parameter in &property.parameters {
            line.push(';');
            push_parameter(&mut line, parameter);
        }
        line.push(':');
        line.push_str(&property.value);
        self.raw(&line);
        self.line = line;
    }

    /// Writes one logical line as it is, folded. A line break inside it would end the line, and
    /// white space before it would glue it to the one above: neither is let through.
    pub fn raw(&mut self, line: &str) {
        let line = line.trim_start_matches([' ', '\t', '\r', '\n']);
        if memchr::memchr2(b'\r', b'\n', line.as_bytes()).is_some() {
            let one_line: String = line.split(['\r', '\n']).collect::<Vec<_>>().join(" ");
            fold(&one_line, &mut self.out);
        } else if !line.is_empty() {
            fold(line, &mut self.out);
        }
    }

    /// The octets.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Folds at 75 octets on character boundaries. A continuation never starts with `:` or `;`, which
/// macOS takes for a damaged card (VC-3, B1 #11); only a run of more than 74 of them makes a
/// longer line, since nothing else could hold it.
fn fold(line: &str, out: &mut Vec<u8>) {
    let mut rest = line;
    let mut room = WIDTH;
    while rest.len() > room {
        let at = break_at(rest, room);
        let Some((head, tail)) = rest.split_at_checked(at).filter(|(_, tail)| !tail.is_empty()) else {
            break;
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n ");
        rest = tail;
        room = WIDTH - 1;
    }
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The last place in the first `room` octets where a continuation may begin, or else the first
/// one after them.
fn break_at(text: &str, room: usize) -> usize {
    let may_start =
        |at: &usize| text.is_char_boundary(*at) && !matches!(text.as_bytes().get(*at), Some(b':' | b';'));
    (1..=room).rev().find(may_start).or_else(|| (room + 1..text.len()).find(may_start)).unwrap_or(text.len())
}

/// Writes a parameter: as it came, or encoded and quoted where its values need it.
fn push_parameter(line: &mut String, parameter: &Parameter) {
    if let Some(raw) = parameter.raw() {
        line.push_str(raw);
        return;
    }
    line.push_str(parameter.name());
    for (index, value) in parameter.values().iter().enumerate() {
        line.push(if index == 0 { '=' } else { ',' });
        let quoted = value.contains([',', ';', ':']);
        if quoted {
            line.push('"');
        }
        let mut rest = value.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '^' => line.push_str("^^"),
                '"' => line.push_str("^'"),
                '\r' if rest.peek() == Some(&'\n') => {}
                '\r' | '\n' => line.push_str("^n"),
                _ => line.push(c),
            }
        }
        if quoted {
            line.push('"');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(line: &str) -> String {
        let mut writer = Writer::default();
        writer.line(&Line::parse(line.as_bytes()));
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn vc_3_folds_at_75_octets_on_characters() {
        let written = write(&format!("NOTE:{}", "ä€😀".repeat(40)));
        assert!(written.split("\r\n").all(|l| l.len() <= 75));
        assert_eq!(written.replace("\r\n ", ""), format!("NOTE:{}\r\n", "ä€😀".repeat(40)));
    }

    #[test]
    fn vc_3_no_continuation_starts_with_a_separator() {
        for pad in 60..80 {
            let line = format!("NOTE:{}:;:;{}", "x".repeat(pad), "y;".repeat(90));
            let written = write(&line);
            assert!(!written.contains("\r\n :") && !written.contains("\r\n ;"), "{pad}");
            assert!(written.split("\r\n").all(|l| l.len() <= 75), "{pad}");
            assert_eq!(written.replace("\r\n ", ""), format!("{line}\r\n"));
        }
        let run = write(&format!("N:{}", ";".repeat(300)));
        assert!(!run.contains("\r\n ;"));
        assert_eq!(run.replace("\r\n ", ""), format!("N:{}\r\n", ";".repeat(300)));
    }

    #[test]
    fn vc_15_parameters_are_encoded_and_quoted() {
        let mut adr = Property::new("ADR", ";;;;;;");
        adr.set("LABEL", "a\nb^c\"d,e");
        adr.set("PLAIN", "^");
        let mut writer = Writer::default();
        writer.property(&adr);
        assert_eq!(writer.finish(), b"ADR;LABEL=\"a^nb^^c^'d,e\";PLAIN=^^:;;;;;;\r\n");
    }

    proptest! {
        #[test]
        fn vc_33_an_untouched_line_is_written_as_it_came(line in "[A-Za-z.]{0,8}[;=,\"^:a-z\\\\ ä€]{0,200}") {
            let line = line.trim_start();
            prop_assume!(!line.is_empty());
            prop_assert_eq!(write(line).replace("\r\n ", ""), format!("{line}\r\n"));
        }
    }
}
