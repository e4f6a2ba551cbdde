//! Passwords and recovery codes: as hashes that are slow to guess, and never as text anywhere else.

use crate::limits::{PASSWORD_HASH_KIB, PASSWORD_HASH_PASSES};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::BASE32_NOPAD;
use std::fmt;
use subtle::ConstantTimeEq;

/// A password as a person typed it. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// A password as it is kept: its argon2id hash, with a salt of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordHash {
    /// Random bytes.
    pub salt: [u8; 16],
    /// The hash of both.
    pub digest: [u8; 32],
}

/// The machine gave no random numbers, or no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingFailed;

impl PasswordHash {
    /// Hashes a password. Keeps a core busy for a good part of a second.
    pub fn of(secret: &Secret) -> Result<Self, HashingFailed> {
        let salt = random()?;
        Ok(Self { salt, digest: digest(secret, &salt)? })
    }

    /// Whether this is the password. Takes as long as to hash it.
    pub fn is_of(&self, secret: &Secret) -> Result<bool, HashingFailed> {
        let digest = digest(secret, &self.salt)?;
        Ok(bool::from(digest.ct_eq(&self.digest)))
    }
}

/// A code that nobody can guess, for somebody who forgets the password.
pub fn recovery_code() -> Result<Secret, HashingFailed> {
    Ok(Secret(BASE32_NOPAD.encode(&random::<15>()?).to_ascii_lowercase()))
}

fn digest(secret: &Secret, salt: &[u8; 16]) -> Result<[u8; 32], HashingFailed> {
    let params = Params::new(PASSWORD_HASH_KIB, PASSWORD_HASH_PASSES, 1, Some(32));
    let params = params.map_err(|_| HashingFailed)?;
    let mut memory = vec![Block::default(); params.block_count()];
    let mut digest = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into_with_memory(secret.0.as_bytes(), salt, &mut digest, &mut memory)
        .map_err(|_| HashingFailed)?;
    Ok(digest)
}

fn random<const N: usize>() -> Result<[u8; N], HashingFailed> {
    let mut bytes = [0; N];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| HashingFailed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_alone() {
        let secret = Secret("correct horse".to_owned());
        let hash = PasswordHash::of(&secret).unwrap();
        assert_eq!(hash.is_of(&secret), Ok(true));
        assert_eq!(hash.is_of(&Secret("correct horsf".to_owned())), Ok(false));
        assert_ne!(PasswordHash::of(&secret).unwrap(), hash, "each has a salt of its own");
        assert!(!format!("{secret:?}").contains("horse"));
    }

    #[test]
    fn a_recovery_code_is_one_word_of_letters_and_digits() {
        let code = recovery_code().unwrap().0;
        assert_eq!(code.len(), 24);
        assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{code}");
        assert_ne!(code, recovery_code().unwrap().0);
    }
}
