//! The versions that a program was built with.

const CARGO_LOCK: &str = include_str!("../../Cargo.lock");

/// The version of a crate.
pub fn locked_version(name: &str) -> Option<&'static str> {
    let (_, after) = CARGO_LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_its_version() {
        for name in ["fanfare", "tokio", "async-broadcast", "asyncband", "flume"] {
            let version = locked_version(name).expect(name);
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name} {version}");
        }
        assert_eq!(locked_version("no-such-crate"), None);
    }
}
