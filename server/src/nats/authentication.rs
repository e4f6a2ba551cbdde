//! Who may come in, and what they may do.

use super::connect::Credentials;
use super::permissions::Permissions;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// Who has one of these names and its password.
    pub users: Vec<User>,
    /// Who has this token.
    pub token: Option<Secret>,
}

/// Somebody who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, as in `CONNECT`.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// What it may do.
    pub permissions: Arc<Permissions>,
}

/// A password or token as the settings have it: its bcrypt hash (`$2a$11$...`), or itself. Not
/// shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Authentication {
    /// Whether anybody is asked at all.
    pub fn is_required(&self) -> bool {
        !self.users.is_empty() || self.token.is_some()
    }

    /// Whether [`admit`](Self::admit) may take long: a secret is hashed.
    pub fn is_slow(&self) -> bool {
        self.users.iter().map(|user| &user.password).chain(&self.token).any(Secret::is_hashed)
    }

    /// What somebody may do who proves itself by these; none if it does not. Takes a good part of a
    /// second where the secret is hashed: call it where that keeps nobody waiting.
    pub fn admit(&self, given: &Credentials) -> Option<Arc<Permissions>> {
        if let (Some(secret), Some(token)) = (&self.token, &given.token) {
            return secret.is(token).then(Arc::default);
        }
        let user = self.users.iter().find(|user| Some(&user.name) == given.user.as_ref())?;
        user.password
            .is(given.password.as_deref().unwrap_or_default())
            .then(|| user.permissions.clone())
    }
}

impl Secret {
    /// A secret as it is written in the settings.
    pub fn new(written: impl Into<String>) -> Self {
        Self(written.into())
    }

    /// Whether it is this. How long that takes does not depend on where the two differ.
    fn is(&self, given: &str) -> bool {
        match self.is_hashed() {
            // What looks like a hash and is none fits nothing.
            true => bcrypt::verify(given, &self.0).unwrap_or(false),
            false => self.0.as_bytes().ct_eq(given.as_bytes()).into(),
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
        Credentials { user: text(user), password: text(password), token: text(token) }
    }

    fn user(name: &str, password: &str) -> User {
        User { name: name.to_owned(), password: Secret::new(password), permissions: Arc::default() }
    }

    #[test]
    fn users_come_in_with_their_own_password_alone() {
        let authentication =
            Authentication { users: vec![user("a", "one"), user("b", "two")], token: None };
        assert!(authentication.is_required());
        assert!(authentication.admit(&given("a", "one", "")).is_some());
        assert!(authentication.admit(&given("b", "two", "")).is_some());
        for wrong in
            [given("a", "two", ""), given("a", "", ""), given("", "one", ""), given("c", "one", "")]
        {
            assert!(authentication.admit(&wrong).is_none());
        }
        assert!(authentication.admit(&given("", "", "one")).is_none());
    }

    #[test]
    fn a_hashed_password_is_known_by_itself_and_not_by_its_hash() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let authentication = Authentication { users: vec![user("a", &hash)], token: None };
        assert!(authentication.admit(&given("a", "secret", "")).is_some());
        assert!(authentication.admit(&given("a", &hash, "")).is_none());
        let broken = Authentication { users: vec![user("a", "$2a$nothing")], token: None };
        assert!(broken.admit(&given("a", "$2a$nothing", "")).is_none());
    }

    #[test]
    fn a_token_is_enough() {
        let authentication =
            Authentication { users: Vec::new(), token: Some(Secret::new("t0k3n")) };
        assert!(authentication.is_required() && !Authentication::default().is_required());
        assert!(authentication.admit(&given("", "", "t0k3n")).is_some());
        assert!(authentication.admit(&given("", "", "t0k3")).is_none());
        assert!(authentication.admit(&given("a", "t0k3n", "")).is_none());
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", user("a", "hunter2")).contains("hunter2"));
    }
}
