//! What the server proves its identity with to a hub.

use crate::codec::nats::nkey::Seed;
use percent_encoding::percent_decode_str;
use std::fmt;

/// A password, a token or a signature.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The name of a user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// A token.
    pub token: Option<String>,
    /// What an operator has signed; the hub reads it.
    pub jwt: Option<String>,
    /// The key that signs what the hub says first.
    pub seed: Option<Seed>,
}

impl Credentials {
    /// Reads `user[:password]` of an address, or continues a sentence with what is wrong.
    pub(super) fn of_address(text: &str) -> Result<Self, String> {
        let decoded = |part: &str| {
            let text = percent_decode_str(part).decode_utf8();
            text.map(|text| Some(text.into_owned())).map_err(|_| "is not UTF-8".to_owned())
        };
        Ok(match text.split_once(':') {
            _ if text.is_empty() => Self::default(),
            Some((user, password)) => {
                Self { user: decoded(user)?, password: decoded(password)?, ..Self::default() }
            }
            // As nats-server's leaf does: a user without a password may be a token.
            None => Self { user: decoded(text)?, token: decoded(text)?, ..Self::default() },
        })
    }

    /// Reads a `.creds` file: a JWT and the seed of its user, each below a line that names it.
    pub fn of_creds(text: &str) -> Result<Self, String> {
        let below = |title: &str| {
            let mut lines = text.lines().map(str::trim);
            lines.find(|line| line.starts_with("---") && line.ends_with(title))?;
            lines.find(|line| !line.is_empty())
        };
        let part = |title: &str| below(title).ok_or(format!("has no line that ends in {title}"));
        let seed = Seed::parse(part("BEGIN USER NKEY SEED-----")?);
        Ok(Self {
            jwt: Some(part("BEGIN NATS USER JWT-----")?.to_owned()),
            seed: Some(seed.map_err(|error| error.to_string())?),
            ..Self::default()
        })
    }

    /// Whether there are none.
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
    }
}
