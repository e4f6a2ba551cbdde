//! Authentication: which clients may connect, and what they may do.

use super::connect::Credentials;
use super::permissions::Permissions;
use crate::codec::nats::nkey::Nkey;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The credentials with which clients may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// The users with a password.
    pub users: Vec<User>,
    /// The users with a key.
    pub nkeys: Vec<NkeyUser>,
    /// The token that lets any client in.
    pub token: Option<Secret>,
}

/// A user that may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, as in `CONNECT`.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// What the user may do.
    pub permissions: Arc<Permissions>,
}

/// A user that proves with a key who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NkeyUser {
    /// The public key, which is its name too.
    pub key: Nkey,
    /// What the user may do.
    pub permissions: Arc<Permissions>,
}

/// A password or token as the settings have it: its bcrypt hash (`$2a$11$...`), or itself. Not
/// shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Authentication {
    /// Whether clients have to authenticate at all.
    pub fn is_required(&self) -> bool {
        !self.users.is_empty() || !self.nkeys.is_empty() || self.token.is_some()
    }

    /// What can be said at once of these credentials, from a client that was sent this nonce.
    pub(super) fn judge(&self, given: &Credentials, nonce: &str) -> Verdict {
        if let Some(key) = &given.nkey {
            return self.judge_nkey(key, given.signature.as_deref().unwrap_or_default(), nonce);
        }
        if let (Some(secret), Some(token)) = (&self.token, &given.token) {
            return secret.judge(token, Permissions::unrestricted());
        }
        let Some(user) = self.users.iter().find(|user| Some(&user.name) == given.user.as_ref())
        else {
            return Verdict::Wrong;
        };
        user.password.judge(given.password.as_deref().unwrap_or_default(), user.permissions.clone())
    }
}

impl Authentication {
    fn judge_nkey(&self, key: &str, signature: &str, nonce: &str) -> Verdict {
        let user =
            Nkey::parse(key).ok().and_then(|key| self.nkeys.iter().find(|user| user.key == key));
        match user {
            Some(user) if !nonce.is_empty() && user.key.has_signed(nonce, signature) => {
                Verdict::Right(user.permissions.clone())
            }
            _ => Verdict::Wrong,
        }
    }
}

/// What can be said at once of somebody who wants to come in.
pub(super) enum Verdict {
    /// It is who it says, and may do this.
    Right(Arc<Permissions>),
    /// It is not.
    Wrong,
    /// That is known when its secret has been hashed.
    Hashed(Hashed),
}

/// A secret that has to be compared with a hash.
pub(super) struct Hashed {
    hash: String,
    given: String,
    permissions: Arc<Permissions>,
}

impl Hashed {
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn given(&self) -> &str {
        &self.given
    }

    /// What its owner may do if it is right.
    pub fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// Whether it is right. Takes a good part of a second: call it where that keeps nobody waiting.
    pub fn is_right(&self) -> bool {
        // What looks like a hash and is none fits nothing.
        bcrypt::verify(&self.given, &self.hash).unwrap_or(false)
    }
}

impl Secret {
    /// A secret as it is written in the settings.
    pub fn new(written: impl Into<String>) -> Self {
        Self(written.into())
    }

    /// Whether it is this, if that can be said without hashing. How long that takes does not depend
    /// on where the two differ.
    fn judge(&self, given: &str, permissions: Arc<Permissions>) -> Verdict {
        if self.is_hashed() {
            let (hash, given) = (self.0.clone(), given.to_owned());
            Verdict::Hashed(Hashed { hash, given, permissions })
        } else if self.0.as_bytes().ct_eq(given.as_bytes()).into() {
            Verdict::Right(permissions)
        } else {
            Verdict::Wrong
        }
    }

    fn is_hashed(&self) -> bool {
        ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| self.0.starts_with(kind))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(user: &str, password: &str, token: &str) -> Credentials {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Credentials {
            user: text(user),
            password: text(password),
            token: text(token),
            ..Credentials::default()
        }
    }

    fn user(name: &str, password: &str) -> User {
        User { name: name.to_owned(), password: Secret::new(password), permissions: Arc::default() }
    }

    fn admits(authentication: &Authentication, given: &Credentials) -> bool {
        match authentication.judge(given, "") {
            Verdict::Right(_) => true,
            Verdict::Wrong => false,
            Verdict::Hashed(hashed) => hashed.is_right(),
        }
    }

    #[test]
    fn users_come_in_with_their_own_password_alone() {
        let authentication = Authentication {
            users: vec![user("a", "one"), user("b", "two")],
            ..Default::default()
        };
        assert!(authentication.is_required());
        assert!(admits(&authentication, &given("a", "one", "")));
        assert!(admits(&authentication, &given("b", "two", "")));
        for wrong in
            [given("a", "two", ""), given("a", "", ""), given("", "one", ""), given("c", "one", "")]
        {
            assert!(!admits(&authentication, &wrong));
        }
        assert!(!admits(&authentication, &given("", "", "one")));
    }

    #[test]
    fn a_hashed_password_is_known_by_itself_and_not_by_its_hash() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let authentication = Authentication { users: vec![user("a", &hash)], ..Default::default() };
        assert!(admits(&authentication, &given("a", "secret", "")));
        assert!(!admits(&authentication, &given("a", &hash, "")));
        let broken = Authentication { users: vec![user("a", "$2a$nothing")], ..Default::default() };
        assert!(!admits(&broken, &given("a", "$2a$nothing", "")));
    }

    #[test]
    fn a_token_is_enough() {
        let authentication =
            Authentication { token: Some(Secret::new("t0k3n")), ..Default::default() };
        assert!(authentication.is_required() && !Authentication::default().is_required());
        assert!(admits(&authentication, &given("", "", "t0k3n")));
        assert!(!admits(&authentication, &given("", "", "t0k3")));
        assert!(!admits(&authentication, &given("a", "t0k3n", "")));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", user("a", "hunter2")).contains("hunter2"));
    }
}
