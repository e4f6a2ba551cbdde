//! The names in a client's certificate, and the user that it stands for, as nats-server maps them
//! with `verify_and_map`. TLS has already decided whether the certificate is valid.

use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name as Subject;

/// The names in a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
const KINDS: [(&str, ObjectIdentifier); 9] = [
    ("SERIALNUMBER", object("2.5.4.5")),
    ("CN", object("2.5.4.3")),
    ("POSTALCODE", object("2.5.4.17")),
    ("STREET", object("2.5.4.9")),
    ("ST", object("2.5.4.8")),
    ("L", object("2.5.4.7")),
    ("OU", object("2.5.4.11")),
    ("O", object("2.5.4.10")),
    ("C", object("2.5.4.6")),
];

/// A part of a domain, which Go does not write.
const DOMAIN: (&str, ObjectIdentifier) = ("DC", object("0.9.2342.19200300.100.1.25"));

const fn object(numbers: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(numbers)
}

impl CertificateNames {
    /// Reads the names in a certificate, which is in DER. What is no certificate names nobody.
    pub fn read(der: &[u8]) -> Self {
        let Ok(certificate) = Certificate::from_der(der) else { return Self::default() };
        let certificate = certificate.tbs_certificate();
        let named = certificate.get_extension::<SubjectAltName>().ok().flatten();
        let named = named.map(|(_, names)| names.0);
        Self::of(certificate.subject(), named.as_deref().unwrap_or_default())
    }

    fn of(subject: &Subject, named: &[GeneralName]) -> Self {
        let mut alternatives: Vec<_> = named.iter().filter_map(rank).collect();
        alternatives.sort_by_key(|(rank, _)| *rank);
        let parts = subject.iter_rdn().map(|part| part.iter().map(attribute).collect());
        let mut subject: Name = parts.collect();
        subject.reverse();
        Self {
            alternatives: alternatives.into_iter().map(|(_, name)| name.to_owned()).collect(),
            subject,
        }
    }

    /// The user that the certificate is for: one that an alternative name names, or else
    /// the one with the name of the subject.
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
        let part = |(place, (kind, _)): (usize, &(&str, ObjectIdentifier))| {
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

/// An alternative name that may be a user's, and when it is tried.
fn rank(name: &GeneralName) -> Option<(u8, &str)> {
    match name {
        GeneralName::Rfc822Name(mail) => Some((0, mail.as_str())),
        GeneralName::DnsName(host) => Some((1, host.as_str())),
        GeneralName::UniformResourceIdentifier(uri) => Some((2, uri.as_str())),
        _ => None,
    }
}

/// An attribute of the subject. Its kind is empty if nats-server does not know it.
fn attribute(attribute: &AttributeTypeAndValue) -> Attribute {
    let kind = KINDS.iter().chain([&DOMAIN]).find(|(_, object)| *object == attribute.oid);
    (kind.map_or("", |(kind, _)| kind).to_owned(), attribute.value.value().to_owned())
}

/// Reads a distinguished name as it is written: `CN=alice,OU=sales+L=Paris`. `None` if it is none.
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_cert::der::asn1::{Ia5String, OctetString};

    const MAIL: ObjectIdentifier = object("1.2.840.113549.1.9.1");

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// The names of a certificate with this subject, one attribute a part, and these others.
    fn names(subject: &[(ObjectIdentifier, &str)], named: &[GeneralName]) -> CertificateNames {
        let part = |(kind, value): &(ObjectIdentifier, &str)| {
            let attribute = [der(0x06, kind.as_bytes()), der(0x0c, value.as_bytes())].concat();
            der(0x31, &der(0x30, &attribute))
        };
        let parts = subject.iter().map(part).collect::<Vec<_>>().concat();
        CertificateNames::of(&Subject::from_der(&der(0x30, &parts)).unwrap(), named)
    }

    fn oid(kind: &str) -> ObjectIdentifier {
        KINDS.iter().chain([&DOMAIN]).find(|(name, _)| *name == kind).unwrap().1
    }

    #[test]
    fn alternative_names_come_first_mail_before_hosts_before_uris() {
        let text = |text| Ia5String::new(text).unwrap();
        let named = [
            GeneralName::UniformResourceIdentifier(text("spiffe://a/b")),
            GeneralName::IpAddress(OctetString::new(&b"host"[..]).unwrap()),
            GeneralName::DnsName(text("host")),
            GeneralName::Rfc822Name(text("me@host")),
        ];
        let names = names(&[(oid("CN"), "me")], &named);
        let mut users = vec!["CN=me", "spiffe://a/b", "host", "me@host"];
        while let Some(user) = names.user(users.iter().copied()) {
            assert_eq!(Some(user), users.pop());
        }
        assert!(users.is_empty(), "{users:?}");
    }

    #[test]
    fn a_subject_is_the_same_however_it_is_written() {
        let subject = [(oid("O"), "a, b"), (oid("OU"), "two words"), (oid("CN"), "me")];
        let names = names(&subject, &[]);
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
    fn parts_of_a_subject_that_nats_server_ignores_are_left_out() {
        let subject = [
            (oid("DC"), "org"),
            (oid("OU"), "x"),
            (oid("OU"), "y;"),
            (oid("CN"), "me"),
            (MAIL, "me@host"),
        ];
        let names = names(&subject, &[]);
        for user in [r"CN=me,OU=x+OU=y\;,DC=org", r"CN=me,OU=x+OU=y\;"] {
            assert_eq!(names.user([user].into_iter()), Some(user));
        }
        assert_eq!(names.user(["CN=me", "CN=me,OU=x,OU=y,DC=org"].into_iter()), None);
    }

    #[test]
    fn a_certificate_that_is_cut_names_nobody() {
        let whole = CertificateDer::from_pem_file(testkit::nats::tls_certificate()).unwrap();
        let names = CertificateNames::read(&whole);
        assert_eq!(names.user(["localhost"].into_iter()), Some("localhost"));
        for end in 0..whole.len() {
            assert_eq!(CertificateNames::read(&whole[..end]), CertificateNames::default());
        }
    }
}
