//! For which client a proxy asks: `X-Forwarded-For`, and `Forwarded` (RFC 7239).

use crate::connection::TrustedProxies;
use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client that a trusted proxy names; `None` if it names none, as for a health check.
///
/// Each proxy adds the address that it was asked from at the end. So the client is the last one
/// that is not a trusted proxy. The client may have made up what stands before it.
///
/// # Errors
/// The reason why the headers are refused.
pub(super) fn client(
    headers: &HeaderMap,
    proxies: &TrustedProxies,
) -> Result<Option<IpAddr>, &'static str> {
    let old = last_stranger(values(headers, &X_FORWARDED_FOR)?.iter().copied(), proxies)?;
    let new = values(headers, &FORWARDED)?;
    let new = last_stranger(new.iter().filter_map(|element| named_in(element)), proxies)?;
    match (old, new) {
        // The proxy writes one of them. The other is the client's, and a client must not choose its
        // own address.
        (Some(old), Some(new)) if old != new => {
            Err("X-Forwarded-For and Forwarded name different clients\n")
        }
        (old, new) => Ok(old.or(new)),
    }
}

/// The elements of a list that can be spread over several headers.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Vec<&'h str>, &'static str> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| "X-Forwarded-For and Forwarded are text\n")?;
        all.extend(text.split(',').map(str::trim).filter(|element| !element.is_empty()));
    }
    Ok(all)
}

fn last_stranger<'h>(
    named: impl DoubleEndedIterator<Item = &'h str>,
    proxies: &TrustedProxies,
) -> Result<Option<IpAddr>, &'static str> {
    let mut last = None;
    for text in named.rev() {
        let client = address(text).ok_or("a proxy names a client that is not an address\n")?;
        last = Some(client);
        if !proxies.contains(client) {
            break;
        }
    }
    Ok(last)
}

/// The client named by an element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn named_in(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(node.trim().trim_matches('"'))
}

/// An address, with or without a port, and with brackets if it is one of IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn named(headers: &[(HeaderName, &'static str)]) -> Result<Option<String>, &'static str> {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Ok(client(&headers.collect(), &proxies)?.map(|address| address.to_string()))
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("1.2.3.4, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
            ("not an address, 192.0.2.1:81,10.0.0.7", "192.0.2.1"),
            ("10.0.0.1, 10.0.0.7", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(named(&[(X_FORWARDED_FOR, value)]), Ok(Some(expected.to_owned())));
        }
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("for=1.2.3.4, by=10.0.0.1;For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
        ] {
            assert_eq!(named(&[(FORWARDED, value)]), Ok(Some(expected.to_owned())));
        }
        assert_eq!(named(&[]), Ok(None));
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        let both = |new| named(&[(X_FORWARDED_FOR, "192.0.2.1"), (FORWARDED, new)]);
        assert_eq!(both("for=192.0.2.1"), Ok(Some("192.0.2.1".to_owned())));
        assert!(both("for=192.0.2.9").is_err());
        let [spread, proxied] = ["192.0.2.9", "192.0.2.1"].map(|of| (X_FORWARDED_FOR, of));
        // `collect` keeps the last of two headers, and `append` both.
        let mut headers = HeaderMap::new();
        for (name, value) in [spread, proxied] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let client = client(&headers, &TrustedProxies::default());
        assert_eq!(client, Ok(Some("192.0.2.1".parse().unwrap())));
    }

    #[test]
    fn a_wrong_address_is_bad_input() {
        for value in ["unknown", "_hidden", "192.0.2.1, unknown", "999.1.1.1"] {
            assert!(named(&[(X_FORWARDED_FOR, value)]).is_err(), "{value}");
        }
        assert!(named(&[(FORWARDED, "for=_hidden")]).is_err());
    }
}
