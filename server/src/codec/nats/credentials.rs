//! How a client or a leaf node proves its identity to a server.

use super::nkey::Seed;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::fmt;

/// A password, a token or the key for a signature.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The name of a user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// A token.
    pub token: Option<String>,
    /// The JWT that an operator has signed, which the server reads.
    pub jwt: Option<String>,
    /// The key that signs what the server says first.
    pub seed: Option<Seed>,
}

/// The fields of `CONNECT` that prove an identity.
#[derive(Serialize)]
pub struct Proof<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

impl Credentials {
    /// Reads `user[:password]` of an address, or continues a sentence with what is wrong.
    pub fn of_address(text: &str) -> Result<Self, String> {
        let decoded = |part: &str| {
            let text = percent_decode_str(part).decode_utf8();
            text.map(|text| text.into_owned()).map_err(|_| "is not UTF-8".to_owned())
        };
        Ok(match text.split_once(':') {
            _ if text.is_empty() => Self::default(),
            Some((user, password)) => Self::of_user(decoded(user)?, Some(decoded(password)?)),
            None => Self::of_user(decoded(text)?, None),
        })
    }

    /// A user and its password. A name without a password may be a token, as it is to nats-server's
    /// leaf nodes and to NATS's command line.
    pub fn of_user(user: String, password: Option<String>) -> Self {
        let token = password.is_none().then(|| user.clone());
        Self { user: Some(user), password, token, ..Self::default() }
    }

    /// Reads a file with the seed of a key, alone or below a line that names it.
    pub fn of_nkey(text: &str) -> Result<Self, String> {
        let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
        Ok(Self { seed: Some(Seed::parse(seed.unwrap_or_default())?), ..Self::default() })
    }

    /// Reads a `.creds` file: a JWT and the seed of its user, each below a line that names it.
    pub fn of_creds(text: &str) -> Result<Self, String> {
        let below = |title: &str| {
            let mut lines = text.lines().map(str::trim);
            lines.find(|line| line.starts_with("---") && line.ends_with(title))?;
            lines.find(|line| !line.is_empty())
        };
        let part = |title: &str| below(title).ok_or(format!("has no line that ends in {title}"));
        Ok(Self {
            jwt: Some(part("BEGIN NATS USER JWT-----")?.to_owned()),
            seed: Some(Seed::parse(part("BEGIN USER NKEY SEED-----")?)?),
            ..Self::default()
        })
    }

    /// The proof in `CONNECT` for a server whose `INFO` has this nonce.
    pub fn proof(&self, nonce: &str) -> Proof<'_> {
        let seed = self.seed.as_ref();
        Proof {
            user: self.user.as_deref(),
            pass: self.password.as_deref(),
            auth_token: self.token.as_deref(),
            jwt: self.jwt.as_deref(),
            // A JWT names the key that signs; without one, the key is named here.
            nkey: seed.filter(|_| self.jwt.is_none()).map(Seed::public_key),
            sig: seed.map(|seed| seed.sign(nonce)),
        }
    }

    /// Whether there are no credentials.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Without its secrets, so that it can be logged.
impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials of {:?}", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `nsc` writes it.
    const CREDS: &str = "-----BEGIN NATS USER JWT-----
eyJ0eXAi.eyJqdGki.c2ln
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y
------END USER NKEY SEED------
";

    #[test]
    fn a_file_of_credentials_has_a_jwt_and_a_seed() {
        let credentials = Credentials::of_creds(CREDS);
        match credentials {
            Ok(credentials) => {
                assert_eq!(credentials.jwt.as_deref(), Some("eyJ0eXAi.eyJqdGki.c2ln"));
                assert!(credentials.seed.is_some());
            }
            Err(error) => panic!("{error}"),
        }
        let windows = CREDS.replace('\n', "\r\n");
        assert_eq!(Credentials::of_creds(&windows), Credentials::of_creds(CREDS));
        for wrong in ["", "SUAA", &CREDS.replace("SEED-", "KEY-"), &CREDS.replace("SUAA", "SUAB")] {
            assert!(Credentials::of_creds(wrong).is_err(), "{wrong}");
        }
        let seed = Credentials::of_creds(CREDS).unwrap().seed;
        assert_eq!(Credentials::of_nkey(CREDS).unwrap().seed, seed);
        assert!(Credentials::of_nkey("").is_err());
    }
}
