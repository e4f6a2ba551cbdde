//! NKEYs: a client proves who it is by signing what the server says in `INFO`, with the key of
//! which the server knows the public half.

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use std::sync::Arc;

/// A user's public key. Written as 56 letters and digits, the first of them `U`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nkey([u8; 32]);

/// The seed of a user's key, which signs. Written as 58 letters and digits that begin with `SU`.
#[derive(Clone)]
pub struct Seed(Arc<Ed25519KeyPair>);

/// The byte in front of a key that says what it is for. It makes the text begin with `U`.
const USER_PREFIX: u8 = 20 << 3;

/// The bits in front of a seed: that it is a seed, and the five bits of [`USER_PREFIX`]. They make
/// the text begin with `SU`.
const SEED_PREFIX: [u8; 2] = [(18 << 3) | (USER_PREFIX >> 5), USER_PREFIX << 3];

impl Nkey {
    /// A key as it is written. The error continues a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let key =
            decoded(text).and_then(|bytes| bytes.strip_prefix(&[USER_PREFIX])?.try_into().ok());
        let problem = "is not a user's public NKEY, which has 56 characters and begins with U";
        key.map(Self).ok_or(problem)
    }

    /// Whether `signature`, in base64 of either kind, is this key's of `nonce`.
    pub fn has_signed(&self, nonce: &str, signature: &str) -> bool {
        let text = signature.as_bytes();
        let bytes = BASE64URL_NOPAD.decode(text).or_else(|_| BASE64.decode(text));
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        bytes.is_ok_and(|bytes| key.verify(nonce.as_bytes(), &bytes).is_ok())
    }
}

impl Seed {
    /// A seed as it is written. The error continues a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let pair = decoded(text).and_then(|bytes| {
            Ed25519KeyPair::from_seed_unchecked(bytes.strip_prefix(&SEED_PREFIX)?).ok()
        });
        let problem =
            "is not the seed of a user's NKEY, which has 58 characters and begins with SU";
        pair.map(|pair| Self(Arc::new(pair))).ok_or(problem)
    }

    /// The public key, as it is written.
    pub fn public_key(&self) -> String {
        encoded(&[USER_PREFIX], self.0.public_key().as_ref())
    }

    /// The signature of `nonce`, as `CONNECT` has it.
    pub fn sign(&self, nonce: &str) -> String {
        BASE64URL_NOPAD.encode(self.0.sign(nonce.as_bytes()).as_ref())
    }
}

impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        self.0.public_key().as_ref() == other.0.public_key().as_ref()
    }
}

impl Eq for Seed {}

/// The bytes that a text stands for, without their checksum, if that is right.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let (checked, sum) = bytes.split_last_chunk::<2>()?;
    (crc16(checked) == u16::from_le_bytes(*sum)).then(|| checked.to_vec())
}

fn encoded(prefix: &[u8], key: &[u8]) -> String {
    let mut bytes = [prefix, key].concat();
    bytes.extend(crc16(&bytes).to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}

/// Without the secret.
impl fmt::Debug for Seed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Seed")
    }
}

impl fmt::Debug for Nkey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Nkey")
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and text are from NATS's documentation.
    const DOCUMENTED: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn keys_are_read_as_they_are_written() {
        assert!(Nkey::parse(DOCUMENTED).is_ok());
        assert_eq!(encoded(&[USER_PREFIX], &Nkey::parse(DOCUMENTED).unwrap().0), DOCUMENTED);
        let mistyped = DOCUMENTED.replace("XU4", "XU5");
        let account = encoded(&[0], &[7; 32]);
        for wrong in
            ["", "U", "u", &DOCUMENTED[1..], &mistyped, &account, &encoded(&[USER_PREFIX], b"")]
        {
            assert!(Nkey::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_keys_own_signature_of_the_nonce_is_right() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = Nkey::parse(&encoded(&[USER_PREFIX], pair.public_key().as_ref())).unwrap();
        let signature = pair.sign(b"nonce");
        assert!(key.has_signed("nonce", &BASE64URL_NOPAD.encode(signature.as_ref())));
        assert!(key.has_signed("nonce", &BASE64.encode(signature.as_ref())));
        assert!(!key.has_signed("other", &BASE64.encode(signature.as_ref())));
        assert!(!key.has_signed("nonce", "") && !key.has_signed("nonce", "%"));
        let other = Nkey::parse(DOCUMENTED).unwrap();
        assert!(!other.has_signed("nonce", &BASE64.encode(signature.as_ref())));
    }

    #[test]
    fn a_seed_signs_for_its_public_key() {
        let text = encoded(&SEED_PREFIX, &[3; 32]);
        assert!(text.starts_with("SU") && text.len() == 58, "{text}");
        let seed = Seed::parse(&text).unwrap();
        let key = Nkey::parse(&seed.public_key()).unwrap();
        assert!(key.has_signed("nonce", &seed.sign("nonce")));
        assert!(!key.has_signed("other", &seed.sign("nonce")));
        let of_account = encoded(&[SEED_PREFIX[0] & !7, 0], &[3; 32]);
        for wrong in ["", "SU", DOCUMENTED, &text[1..], &text.to_lowercase(), &of_account] {
            assert!(Seed::parse(wrong).is_err(), "{wrong}");
        }
    }
}
