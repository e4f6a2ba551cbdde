//! Reading single values, for flags, environment and file alike. Each error continues a sentence
//! that begins with the setting and its value.

use crate::connection::TrustedProxies;
use log::LevelFilter;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;

/// The maximum of anything without a better bound: connections, rooms, bytes.
pub const MOST: u64 = 1 << 30;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Where a front-end listens; `None` if it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// An address, or `off`.
pub fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    let problem = |why: &str| format!("is not an address to listen on: {why}");
    let addresses = text.to_socket_addrs().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => problem("write it as HOST:PORT, or off"),
        _ => problem(&error.to_string()),
    })?;
    // A name such as localhost has several. Every client can reach the one of IPv4.
    match addresses.min_by_key(SocketAddr::is_ipv6) {
        Some(address) => Ok(Listen(Some(address))),
        None => Err(problem("the name has no address")),
    }
}

/// Addresses and networks separated by commas.
pub fn trusted_proxies(text: &str) -> Result<TrustedProxies, String> {
    let network = |name: &str| {
        let network = name.parse().or_else(|_| name.parse().map(|it: IpAddr| it.into()));
        network.map_err(|_| format!("names {name}, which is neither an address nor a network"))
    };
    Ok(TrustedProxies::new(listed(text).map(network).collect::<Result<_, _>>()?))
}

/// A log level.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| "is not a level; use off, error, warn, info, debug or trace".to_owned())
}

/// The items of a list separated by commas.
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// One of these words, each with its meaning.
pub fn choice<T: Clone, const N: usize>(
    words: [(&'static str, T); N],
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| match words.iter().find(|(word, _)| *word == text) {
        Some((_, meaning)) => Ok(meaning.clone()),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Err(format!("is neither {} nor {}", words[..N - 1].join(", "), words[N - 1]))
        }
    }
}

/// At least `least` bytes: a number, or one with a unit such as `512MiB`.
pub fn size(least: u64) -> impl Fn(&str) -> Result<u64, String> + Clone {
    const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    move |text| {
        let (number, shift) = UNITS
            .iter()
            .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), shift)))
            .unwrap_or((text, &0));
        let number: u64 = number
            .parse()
            .map_err(|_| "is not a size; write it as 536870912 or 512MiB".to_owned())?;
        let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes >= least);
        bytes.ok_or_else(|| format!("is out of range; from {} MiB", least >> 20))
    }
}

/// A whole number from `least` to [`MOST`].
pub fn from(least: u64) -> impl Fn(&str) -> Result<usize, String> + Clone {
    within(least..=MOST)
}

/// Milliseconds, from `least` to a day.
pub fn ms(least: u64) -> impl Fn(&str) -> Result<u64, String> + Clone {
    within(least..=DAY_MS)
}

/// A whole number in a range.
pub fn within<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number: u64 = text.parse().map_err(|_| "is not a whole number".to_owned())?;
        let in_range = range.contains(&number).then_some(number);
        in_range
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("is out of range; from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_names_its_words() {
        let choice = choice([("a", 1), ("b", 2), ("c", 3)]);
        assert_eq!((choice("b"), choice("d")), (Ok(2), Err("is neither a, b nor c".to_owned())));
    }

    #[test]
    fn sizes_have_units() {
        let size = size(1 << 20);
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("2048KiB"), size("2097152"));
        for wrong in ["", "MiB", "-1", "1MB", "1048575", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
