//! The signed form of a datagram. It proves who sent the datagram, when, and that nothing in it was
//! changed.
//!
//! `signed MAC KEY-ID TIME NONCE push`, with one space between each. `MAC` is HMAC-SHA-256, in 64
//! hexadecimal digits, of every byte after the space that follows it: key id, time, nonce and
//! push, with their spaces. `TIME` is in seconds since 1970, `NONCE` 8 to 64 letters, digits, `-`
//! or `_` that make this datagram different from any other.

use crate::limits::{PUSH_NAME_BYTES, PUSH_NONCE_BYTES};
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The parts of a datagram that claims to be signed. Believe none of them until [`Signed::is_by`]
/// is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'d> {
    mac: [u8; 32],
    signed: &'d [u8],
    /// The id of the key that it claims to be signed with.
    pub key_id: &'d str,
    /// When it claims to be sent, in seconds since 1970.
    pub time_s: u64,
    /// The push, to be parsed by [`parse_push`](super::parse_push).
    pub push: &'d [u8],
}

/// A datagram that begins with `signed` is not in the signed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

const PREFIX: &[u8] = b"signed ";
const MAC_DIGITS: usize = 64;

impl<'d> Signed<'d> {
    /// Whether a datagram claims to be signed.
    pub fn is_claimed(datagram: &[u8]) -> bool {
        datagram.starts_with(PREFIX)
    }

    /// Parses a signed datagram. `None` if the datagram is unsigned.
    pub fn parse(datagram: &'d [u8]) -> Result<Option<Self>, Malformed> {
        let Some(rest) = datagram.strip_prefix(PREFIX) else { return Ok(None) };
        Self::parts(rest).map(Some).ok_or(Malformed)
    }

    fn parts(rest: &'d [u8]) -> Option<Self> {
        let (digits, rest) = rest.split_at_checked(MAC_DIGITS)?;
        let mut mac = [0; 32];
        HEXLOWER_PERMISSIVE.decode_mut(digits, &mut mac).ok()?;
        let signed = rest.strip_prefix(b" ")?;
        let mut fields = signed.splitn(4, |byte| *byte == b' ');
        let key_id = std::str::from_utf8(fields.next()?).ok()?;
        let (time, nonce, push) = (fields.next()?, fields.next()?, fields.next()?);
        let is_nonce = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_valid = (1..=PUSH_NAME_BYTES).contains(&key_id.len())
            && (PUSH_NONCE_BYTES.0..=PUSH_NONCE_BYTES.1).contains(&nonce.len())
            && nonce.iter().all(is_nonce);
        is_valid.then_some(Self { mac, signed, key_id, time_s: seconds(time)?, push })
    }

    /// Whether it was signed with this key. Takes the same time for a wrong MAC as for the right
    /// one.
    pub fn is_by(&self, key: &[u8]) -> bool {
        hmac(key, self.signed).verify_slice(&self.mac).is_ok()
    }

    /// A number that identifies this signed datagram among all, whatever its key.
    pub fn fingerprint(&self) -> u128 {
        let mut half = [0; 16];
        half.copy_from_slice(&self.mac[..16]);
        u128::from_le_bytes(half)
    }
}

/// Signs a push: the datagram to send.
pub fn sign(key_id: &str, key: &[u8], time_s: u64, nonce: &str, push: &[u8]) -> Vec<u8> {
    let signed = [format!("{key_id} {time_s} {nonce} ").as_bytes(), push].concat();
    let mac = hmac(key, &signed).finalize().into_bytes();
    [PREFIX, HEXLOWER_PERMISSIVE.encode(&mac).as_bytes(), b" ", &signed].concat()
}

fn hmac(key: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "RFC 2104 sets no limit")]
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(signed);
    hmac
}

fn seconds(time: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(time).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    fn datagram() -> Vec<u8> {
        sign("shop", KEY, 1_800_000_000, "9f86d081", b"user:42 hello \xff")
    }

    #[test]
    fn signed_datagrams_are_recognised() {
        let datagram = datagram();
        let signed = Signed::parse(&datagram).unwrap().unwrap();
        assert_eq!(
            (signed.key_id, signed.time_s, signed.push),
            ("shop", 1_800_000_000, &b"user:42 hello \xff"[..])
        );
        assert!(signed.is_by(KEY) && !signed.is_by(b"another key's bytes"));
    }

    #[test]
    fn the_mac_is_what_other_programs_compute() {
        let datagram = sign("shop", KEY, 1_800_000_000, "9f86d081", b"all x");
        let text = String::from_utf8(datagram).unwrap();
        assert_eq!(text, format!("signed {KNOWN_MAC} shop 1800000000 9f86d081 all x"));
    }

    /// `printf 'shop 1800000000 9f86d081 all x' | openssl dgst -sha256 -hmac 0123456789abcdef`
    const KNOWN_MAC: &str = "dbe48816d48da5b9ebc88b0f3936212e561d9e53c2613b5b5e256d59559ae1c5";

    #[test]
    fn any_change_and_any_cut_is_noticed() {
        let datagram = datagram();
        for at in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[at] ^= 1;
            let is_taken = Signed::parse(&changed)
                .is_ok_and(|signed| signed.is_some_and(|signed| signed.is_by(KEY)));
            assert!(!is_taken, "byte {at} was changed");
            let cut = Signed::parse(&datagram[..at]);
            assert!(
                !cut.is_ok_and(|signed| signed.is_some_and(|signed| signed.is_by(KEY))),
                "cut to {at} bytes"
            );
        }
    }

    #[test]
    fn every_mistake_in_the_form_is_noticed() {
        let mac = "0".repeat(64);
        for text in [
            "signed ".to_owned(),
            format!("signed {} k 1 12345678 all x", "z".repeat(64)),
            format!("signed {mac}0 k 1 12345678 all x"),
            format!("signed {mac} k 1 12345678"),
            format!("signed {mac}  1 12345678 all x"),
            format!("signed {mac} k now 12345678 all x"),
            format!("signed {mac} k -1 12345678 all x"),
            format!("signed {mac} k 1 1234567 all x"),
            format!("signed {mac} k 1 1234567/ all x"),
            format!("signed {mac} k 1 {} all x", "a".repeat(65)),
        ] {
            assert_eq!(Signed::parse(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(Signed::parse(b"user:42 signed"), Ok(None));
    }
}
