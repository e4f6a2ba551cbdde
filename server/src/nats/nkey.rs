//! NKEYs: a client proves who it is by signing what the server says in `INFO`, with the key of
//! which the server knows the public half.

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;

/// A user's public key. Written as 56 letters and digits, the first of them `U`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nkey([u8; 32]);

/// A text is not the public key of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnNkey;

/// In front of the key: what it is for, so that the text begins with `U`.
const USER_PREFIX: u8 = 20 << 3;

impl Nkey {
    /// A key as it is written.
    pub fn parse(text: &str) -> Result<Self, NotAnNkey> {
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| NotAnNkey)?;
        let (checked, sum) = bytes.split_last_chunk::<2>().ok_or(NotAnNkey)?;
        match checked {
            [USER_PREFIX, key @ ..] if crc16(checked) == u16::from_le_bytes(*sum) => {
                key.try_into().map(Self).map_err(|_| NotAnNkey)
            }
            _ => Err(NotAnNkey),
        }
    }

    /// Whether `signature`, in base64 of either kind, is this key's of `nonce`.
    pub fn has_signed(&self, nonce: &str, signature: &str) -> bool {
        let text = signature.as_bytes();
        let bytes = BASE64URL_NOPAD.decode(text).or_else(|_| BASE64.decode(text));
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        bytes.is_ok_and(|bytes| key.verify(nonce.as_bytes(), &bytes).is_ok())
    }
}

impl fmt::Debug for Nkey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Nkey")
    }
}

impl fmt::Display for NotAnNkey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("is not a user's public NKEY, which has 56 characters and begins with U")
    }
}

impl std::error::Error for NotAnNkey {}

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
    use ring::signature::{Ed25519KeyPair, KeyPair};

    /// The key and text are from NATS's documentation.
    const DOCUMENTED: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    fn written(prefix: u8, key: &[u8]) -> String {
        let mut bytes = [&[prefix], key].concat();
        bytes.extend(crc16(&bytes).to_le_bytes());
        BASE32_NOPAD.encode(&bytes)
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        assert!(Nkey::parse(DOCUMENTED).is_ok());
        assert_eq!(written(USER_PREFIX, &Nkey::parse(DOCUMENTED).unwrap().0), DOCUMENTED);
        let mistyped = DOCUMENTED.replace("XU4", "XU5");
        let account = written(0, &[7; 32]);
        for wrong in
            ["", "U", "u", &DOCUMENTED[1..], &mistyped, &account, &written(USER_PREFIX, b"")]
        {
            assert_eq!(Nkey::parse(wrong), Err(NotAnNkey), "{wrong}");
        }
    }

    #[test]
    fn only_the_keys_own_signature_of_the_nonce_is_right() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = Nkey::parse(&written(USER_PREFIX, pair.public_key().as_ref())).unwrap();
        let signature = pair.sign(b"nonce");
        assert!(key.has_signed("nonce", &BASE64URL_NOPAD.encode(signature.as_ref())));
        assert!(key.has_signed("nonce", &BASE64.encode(signature.as_ref())));
        assert!(!key.has_signed("other", &BASE64.encode(signature.as_ref())));
        assert!(!key.has_signed("nonce", "") && !key.has_signed("nonce", "%"));
        let other = Nkey::parse(DOCUMENTED).unwrap();
        assert!(!other.has_signed("nonce", &BASE64.encode(signature.as_ref())));
    }
}
