//! Whom a client's certificate names, and which user that is, as nats-server has it with
//! `verify_and_map`. Whether the certificate is a good one is for TLS to say.

/// The names in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames {
    /// Mail addresses, then hosts, then URIs: in the order in which they are tried.
    alternatives: Vec<String>,
    /// The reverse of what the certificate has, which is how people write it.
    subject: Name,
}

/// A distinguished name. A part is mostly one attribute.
type Name = Vec<Vec<Attribute>>;

/// The kind, in capitals, and the value.
type Attribute = (String, Vec<u8>);

/// The kinds of attributes that nats-server knows, in the order in which Go writes them, and their
/// object identifiers. The first two are there once.
const KINDS: [(&str, &[u8]); 9] = [
    ("SERIALNUMBER", &[0x55, 4, 5]),
    ("CN", &[0x55, 4, 3]),
    ("POSTALCODE", &[0x55, 4, 17]),
    ("STREET", &[0x55, 4, 9]),
    ("ST", &[0x55, 4, 8]),
    ("L", &[0x55, 4, 7]),
    ("OU", &[0x55, 4, 11]),
    ("O", &[0x55, 4, 10]),
    ("C", &[0x55, 4, 6]),
];

/// A part of a domain, which Go does not write.
const DOMAIN: (&str, &[u8]) = ("DC", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]);

/// The object identifier of the alternative names, and the tags of those that count.
const ALTERNATIVES: &[u8] = &[0x55, 0x1d, 17];
const MAIL_HOST_URI: [u8; 3] = [0x81, 0x82, 0x86];

/// Tags of parts of a certificate that may be missing.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

impl CertificateNames {
    /// Reads the names in a certificate, which is in DER.
    pub fn read(der: &[u8]) -> Self {
        let certificate = first(der);
        let mut fields = elements(first(certificate)).filter(|(tag, _)| *tag != VERSION);
        // Behind the number, the algorithm, the issuer and the validity.
        let subject = fields.nth(4).unwrap_or_default().1;
        let part = |(_, part)| elements(part).map(|(_, it)| attribute(it)).collect();
        let mut subject: Name = elements(subject).map(part).collect();
        subject.reverse();
        let extensions = fields.find(|(tag, _)| *tag == EXTENSIONS).unwrap_or_default().1;
        let named = elements(first(extensions)).find(|(_, it)| first(it) == ALTERNATIVES);
        let named = named.and_then(|(_, it)| elements(it).last()).unwrap_or_default().1;
        let of_kind = |kind| {
            let values = elements(first(named)).filter(move |(tag, _)| *tag == kind);
            values.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        Self { alternatives: MAIL_HOST_URI.into_iter().flat_map(of_kind).collect(), subject }
    }

    /// Which of these users the certificate is for: the one that an alternative name names, or else
    /// the one that is called like the subject.
    pub fn user<'u>(&self, users: impl Iterator<Item = &'u str> + Clone) -> Option<&'u str> {
        let called = |name: &String| users.clone().find(|user| user == name);
        let like_subject = || {
            let is_known = self.subject.iter().flatten().all(|(kind, _)| !kind.is_empty());
            let names = users.clone().filter_map(|user| Some((user, parse(user)?)));
            let names: Vec<_> = names.filter(|_| is_known).collect();
            let exact =
                names.iter().find(|(_, name)| sorted(name, false) == sorted(&self.subject, false));
            let in_any_order =
                || names.iter().find(|(_, name)| sorted(name, true) == sorted(&self.subject, true));
            exact.or_else(in_any_order).map(|(user, _)| *user)
        };
        self.alternatives
            .iter()
            .find_map(called)
            .or_else(like_subject)
            .or_else(|| self.written().iter().rev().find_map(called))
    }

    /// The subject as Go writes it, and with its domain behind that: nats-server's ways before it
    /// compared attributes, still of use where the subject has one that it does not know.
    fn written(&self) -> Vec<String> {
        let values = |kind: &str| {
            let of_kind = self.subject.iter().rev().flatten().filter(|(it, _)| it == kind);
            of_kind.map(|(_, value)| format!("{kind}={}", escaped(value))).collect::<Vec<_>>()
        };
        let part = |(place, (kind, _)): (usize, &(&str, &[u8]))| {
            let values = values(kind);
            let from = if place < 2 { values.len().saturating_sub(1) } else { 0 };
            (!values.is_empty()).then(|| values[from..].join("+"))
        };
        let plain = KINDS.iter().enumerate().filter_map(part).collect::<Vec<_>>().join(",");
        let domain = values(DOMAIN.0);
        let with_domain = (!domain.is_empty()).then(|| format!("{plain},{}", domain.join(",")));
        [plain].into_iter().chain(with_domain).collect()
    }
}

/// The parts with their attributes in one order, which means nothing, and perhaps the parts too.
fn sorted(name: &Name, with_parts: bool) -> Name {
    let mut name = name.clone();
    name.iter_mut().for_each(|part| part.sort_unstable());
    if with_parts {
        name.sort_unstable();
    }
    name
}

/// An attribute of the subject. Its kind is empty if nats-server does not know it.
fn attribute(der: &[u8]) -> Attribute {
    let (object, value) = (first(der), elements(der).nth(1).unwrap_or_default().1);
    let kind = KINDS.iter().chain([&DOMAIN]).find(|(_, identifier)| *identifier == object);
    (kind.map_or("", |(kind, _)| kind).to_owned(), value.to_owned())
}

/// A distinguished name as it is written: `CN=alice,OU=sales+L=Paris`. `None`: it is none.
fn parse(text: &str) -> Option<Name> {
    let mut name = vec![Vec::new()];
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let kind = str::from_utf8(&rest[..equals]).ok()?.trim().to_ascii_uppercase();
        let (value, end) = value(&rest[equals + 1..])?;
        name.last_mut()?.push((kind, value));
        let ends_with = rest.get(equals + 1 + end);
        if ends_with == Some(&b',') {
            name.push(Vec::new());
        }
        rest = rest.get(equals + 2 + end..).unwrap_or_default();
    }
    Some(name)
}

/// The value at the front, up to what separates it from the next attribute, and how long it is as
/// written. Blanks around it do not count, unless they are escaped.
fn value(written: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut value, mut kept) = (Vec::new(), 0);
    let mut at = 0;
    while let Some(byte) = written.get(at).filter(|byte| !matches!(byte, b',' | b'+')) {
        match byte {
            b'\\' => {
                let escaped = *written.get(at + 1)?;
                if escaped.is_ascii_hexdigit() {
                    let digits = str::from_utf8(written.get(at + 1..at + 3)?).ok()?;
                    value.push(u8::from_str_radix(digits, 16).ok()?);
                    at += 1;
                } else {
                    value.push(escaped);
                }
                at += 1;
                kept = value.len();
            }
            b' ' if value.is_empty() => {}
            b' ' => value.push(b' '),
            byte => {
                value.push(*byte);
                kept = value.len();
            }
        }
        at += 1;
    }
    value.truncate(kept);
    Some((value, at))
}

/// A value as it is written.
fn escaped(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut written = String::new();
    for (at, character) in text.char_indices() {
        let is_special = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => at == 0,
            ' ' => at == 0 || at + 1 == text.len(),
            _ => false,
        };
        written.extend(is_special.then_some('\\'));
        written.push(character);
    }
    written
}

/// What is in the first element.
fn first(der: &[u8]) -> &[u8] {
    elements(der).next().unwrap_or_default().1
}

/// The elements that stand side by side: each one's tag, and what is in it. They end before what is
/// no element.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, size], mut rest) = der.split_first_chunk()?;
        let mut bytes = usize::from(size);
        if size > 0x7f {
            // A size is in more than one byte, and this says in how many.
            let (size, behind) = rest.split_at_checked(bytes - 0x80).filter(|it| it.0.len() < 5)?;
            bytes = size.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            rest = behind;
        }
        let (content, behind) = rest.split_at_checked(bytes)?;
        der = behind;
        Some((tag, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let size = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &size, &content].concat()
    }

    /// A certificate with this subject, one attribute a part, and these alternative names.
    fn certificate(subject: &[(&[u8], &str)], alternatives: &[(u8, &str)]) -> CertificateNames {
        let part = |(kind, value): &(&[u8], &str)| {
            let attribute = der(0x30, &[&der(0x06, &[kind]), &der(0x0c, &[value.as_bytes()])]);
            der(0x31, &[&attribute])
        };
        let subject = subject.iter().map(part).collect::<Vec<_>>().concat();
        let names = alternatives.iter().map(|(tag, name)| der(*tag, &[name.as_bytes()]));
        let names = der(0x30, &[&names.collect::<Vec<_>>().concat()]);
        let other = der(0x30, &[&der(0x06, &[b"\x55\x1d\x13"]), &der(0x04, &[b""])]);
        let oid = der(0x06, &[ALTERNATIVES]);
        let extension = der(0x30, &[&oid, &der(0x01, &[b"\xff"]), &der(0x04, &[&names])]);
        let extensions = der(EXTENSIONS, &[&der(0x30, &[&other, &extension])]);
        let any = der(0x30, &[]);
        let version = der(VERSION, &[b"\x02\x01\x02"]);
        let subject = der(0x30, &[&subject]);
        let fields = [&version, &der(0x02, &[b"1"]), &any, &any, &any, &subject, &any, &extensions];
        let signed = der(0x30, &fields.map(Vec::as_slice));
        CertificateNames::read(&der(0x30, &[&signed, &any]))
    }

    fn oid(kind: &str) -> &'static [u8] {
        KINDS.iter().chain([&DOMAIN]).find(|(name, _)| *name == kind).map_or(b"?", |it| it.1)
    }

    #[test]
    fn alternative_names_come_first_mail_before_hosts_before_uris() {
        let names = certificate(
            &[(oid("CN"), "me")],
            &[(0x86, "spiffe://a/b"), (0x87, "\x7f\0\0\x01"), (0x82, "host"), (0x81, "me@host")],
        );
        let mut users = vec!["CN=me", "spiffe://a/b", "host", "me@host"];
        while let Some(user) = names.user(users.iter().copied()) {
            assert_eq!(Some(user), users.pop());
        }
        assert!(users.is_empty(), "{users:?}");
    }

    #[test]
    fn a_subject_is_the_same_however_it_is_written() {
        let subject = [(oid("O"), "a, b"), (oid("OU"), "two words"), (oid("CN"), "me")];
        let names = certificate(&subject, &[]);
        for user in [
            r"CN=me,OU=two words,O=a\, b",
            r"cn=me, ou=two words , o=a\2C\20b",
            r"O=a\, b,OU=two words,CN=me",
        ] {
            assert_eq!(names.user([user].into_iter()), Some(user));
        }
        let others = [
            r"CN=me,OU=two words",
            r"CN=me,OU=two words+O=a\, b",
            r"CN=Me,OU=two words,O=a\, b",
            r"CN=me,OU=two words,O=a\, b,C=x",
            "me",
            "",
            "=",
            r"CN=\",
        ];
        assert_eq!(names.user(others.into_iter()), None);
        let both = [r"O=a\, b,CN=me,OU=two words", r"CN=me,OU=two words,O=a\, b"];
        assert_eq!(names.user(both.into_iter()), Some(both[1]), "its own order comes first");
    }

    #[test]
    fn what_nats_server_does_not_know_of_a_subject_is_left_out() {
        let subject = [
            (oid("DC"), "org"),
            (oid("OU"), "x"),
            (oid("OU"), "y;"),
            (oid("CN"), "me"),
            (b"\x2a\x03", "me@host"),
        ];
        let names = certificate(&subject, &[]);
        for user in [r"CN=me,OU=x+OU=y\;,DC=org", r"CN=me,OU=x+OU=y\;"] {
            assert_eq!(names.user([user].into_iter()), Some(user));
        }
        assert_eq!(names.user(["CN=me", "CN=me,OU=x,OU=y,DC=org"].into_iter()), None);
    }

    #[test]
    fn any_bytes_are_read() {
        let whole = der(0x30, &[&der(0x30, &[b"\x30\x80\x30\x84\xff\xff\xff\xff\x30"])]);
        for end in 0..whole.len() {
            assert_eq!(CertificateNames::read(&whole[..end]).user(["x"].into_iter()), None);
        }
    }
}
