//! Authentication: which clients may connect, and what they may do.

use super::accounts::{AccountName, GLOBAL, global};
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
    /// Whether the users with a password, or without, are those that certificates name, and no
    /// password counts.
    pub maps_certificates: bool,
    /// The token that lets any client in.
    pub token: Option<Secret>,
    /// The name or key of the user that clients without credentials act as.
    pub no_auth_user: Option<String>,
}

/// A user that may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, as in `CONNECT`.
    pub name: String,
    /// The password. None: only a certificate lets the user in.
    pub password: Option<Secret>,
    /// The user's rights and account.
    pub grant: Grant,
}

/// A user that proves with a key who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NkeyUser {
    /// The public key, which is its name too.
    pub key: Nkey,
    /// The user's rights and account.
    pub grant: Grant,
}

/// The rights that a client has once it is let in, and its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its rights.
    pub permissions: Arc<Permissions>,
    /// Its account.
    pub account: AccountName,
}

/// A password or token as the settings have it: its bcrypt hash (`$2a$11$...`), or itself. Not
/// shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Authentication {
    /// Whether it matters who clients are.
    pub fn is_required(&self) -> bool {
        !self.users.is_empty() || !self.nkeys.is_empty() || self.token.is_some()
    }

    /// Whether a client has to say who it is.
    pub fn must_be_given(&self) -> bool {
        self.is_required() && (self.no_auth_user.is_none() || self.is_mapped())
    }

    /// The rights of a client that gives no credentials; `None` if it must give some.
    pub fn unauthenticated(&self) -> Option<Grant> {
        match &self.no_auth_user {
            Some(name) if !self.is_mapped() => self.user(name),
            _ => (!self.is_required()).then(Grant::default),
        }
    }

    /// The rights of the user of this name or key; `None` if there is none.
    pub fn user(&self, name: &str) -> Option<Grant> {
        let named = self.users.iter().find(|user| user.name == name).map(|user| &user.grant);
        let with_key = || {
            let key = Nkey::parse(name).ok()?;
            self.nkeys.iter().find(|user| user.key == key).map(|user| &user.grant)
        };
        named.or_else(with_key).cloned()
    }

    /// The name or key of the user whose credentials these are, whether they are right or wrong.
    pub(super) fn name_of<'a>(&'a self, given: &'a Credentials) -> Option<&'a str> {
        let mapped = || self.mapped(given).map(|user| user.name.as_str());
        let silent = || self.no_auth_user.as_deref().filter(|_| given.is_nothing());
        given.nkey.as_deref().or_else(mapped).or(given.user.as_deref()).or_else(silent)
    }

    /// The accounts that users are in, each once or more often.
    pub fn accounts(&self) -> impl Iterator<Item = AccountName> {
        let of_users = self.users.iter().map(|user| &user.grant);
        let grants = of_users.chain(self.nkeys.iter().map(|user| &user.grant));
        grants.map(|grant| grant.account.clone())
    }

    /// The verdict on these credentials, as far as it is known at once, for a client that was sent
    /// this nonce.
    pub(super) fn judge(&self, given: &Credentials, nonce: &str) -> Verdict {
        let Credentials { password, token, signature, .. } = given;
        let [password, token, signature] =
            [password, token, signature].map(|text| text.as_deref().unwrap_or_default());
        match self.entry(given) {
            Some((Required::Nothing, grant)) => Verdict::Right(grant),
            Some((Required::Password(secret), grant)) => secret.judge(password, grant),
            Some((Required::Token(secret), grant)) => secret.judge(token, grant),
            Some((Required::Key(key), grant))
                if !nonce.is_empty() && key.has_signed(nonce, signature) =>
            {
                Verdict::Right(grant)
            }
            _ => Verdict::Wrong,
        }
    }

    /// The effect of these settings on a client let in with these credentials under `before`.
    pub(super) fn review(&self, before: &Self, given: &Credentials) -> Review {
        let names_user = given.nkey.is_some() || given.user.is_some();
        match (before.entry(given), self.entry(given)) {
            (Some((proven, former)), Some((proof, grant))) if former.account == grant.account => {
                if proven == proof {
                    Review::Holds(grant)
                } else {
                    Review::Prove
                }
            }
            (_, None) if !names_user => Review::Prove,
            _ => Review::Gone,
        }
    }

    /// What a client with these credentials must prove, and its rights once it has.
    fn entry(&self, given: &Credentials) -> Option<(Required<'_>, Grant)> {
        if let Some(name) = &given.nkey {
            let key = Nkey::parse(name).ok()?;
            let user = self.nkeys.iter().find(|user| user.key == key)?;
            return Some((Required::Key(&user.key), user.grant.clone()));
        }
        if self.is_mapped() {
            return Some((Required::Nothing, self.mapped(given)?.grant.clone()));
        }
        if given.is_nothing()
            && let Some(grant) = self.unauthenticated()
        {
            return Some((Required::Nothing, grant));
        }
        if let (Some(secret), Some(_)) = (&self.token, &given.token) {
            return Some((Required::Token(secret), Grant::default()));
        }
        let user = self.users.iter().find(|user| Some(&user.name) == given.user.as_ref())?;
        Some((Required::Password(user.password.as_ref()?), user.grant.clone()))
    }

    /// Whether users are known by their certificate. (Observed: then no token counts, and of the
    /// other users only those with a key.)
    fn is_mapped(&self) -> bool {
        self.maps_certificates && !self.users.is_empty()
    }

    /// The user that the client's certificate names.
    fn mapped(&self, given: &Credentials) -> Option<&User> {
        let certificate = given.certificate.as_ref().filter(|_| self.is_mapped())?;
        let name = certificate.user(self.users.iter().map(|user| user.name.as_str()))?;
        self.users.iter().find(|user| user.name == name)
    }
}

/// The proof that a client owes.
#[derive(PartialEq, Eq)]
enum Required<'a> {
    Nothing,
    Password(&'a Secret),
    Token(&'a Secret),
    Key(&'a Nkey),
}

/// The effect of new settings on a client that is connected.
pub(super) enum Review {
    /// It may stay, with these rights.
    Holds(Grant),
    /// It must authenticate again.
    Prove,
    /// Its user is gone, or is in another account.
    Gone,
}

/// The verdict on a client's credentials, as far as it is known at once.
pub(super) enum Verdict {
    /// They are right, and give these rights.
    Right(Grant),
    /// They are wrong.
    Wrong,
    /// Known once its secret has been hashed.
    Hashed(Hashed),
}

/// A secret that has to be compared with a hash.
pub(super) struct Hashed {
    pub hash: String,
    pub given: String,
    /// The rights of its owner if it is right.
    pub grant: Grant,
}

impl Hashed {
    /// Whether it is right. Takes a good part of a second: call it where that keeps nobody waiting.
    pub fn is_right(&self) -> bool {
        // A text that looks like a hash but is none matches nothing.
        bcrypt::verify(&self.given, &self.hash).unwrap_or(false)
    }
}

impl Secret {
    /// A secret as it is written in the settings.
    pub fn new(written: impl Into<String>) -> Self {
        Self(written.into())
    }

    /// Whether `given` is right, if that can be said without hashing. The time this takes does not
    /// depend on where the two differ.
    fn judge(&self, given: &str, grant: Grant) -> Verdict {
        if self.is_hashed() {
            let (hash, given) = (self.0.clone(), given.to_owned());
            Verdict::Hashed(Hashed { hash, given, grant })
        } else if self.0.as_bytes().ct_eq(given.as_bytes()).into() {
            Verdict::Right(grant)
        } else {
            Verdict::Wrong
        }
    }

    fn is_hashed(&self) -> bool {
        ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| self.0.starts_with(kind))
    }
}

impl Grant {
    /// These permissions in this account. Nothing is private in accounts other than the global one:
    /// they have neither chat nor pushes.
    pub fn new(mut permissions: Permissions, account: AccountName) -> Self {
        if *account != *GLOBAL {
            permissions.publish = permissions.publish.without_private();
            permissions.subscribe = permissions.subscribe.without_private();
        }
        Self { permissions: Arc::new(permissions), account }
    }
}

impl Default for Grant {
    /// The rights of a client without rules.
    fn default() -> Self {
        Self { permissions: Permissions::unrestricted(), account: global() }
    }
}

impl From<Permissions> for Grant {
    /// In the global account.
    fn from(permissions: Permissions) -> Self {
        Self::new(permissions, global())
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
    use crate::codec::certificate::CertificateNames;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

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
        let grant = Grant::default();
        User { name: name.to_owned(), password: Some(Secret::new(password)), grant }
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
    fn a_client_without_credentials_is_the_user_named_for_that() {
        let of_a = Grant { account: "A".into(), ..Grant::default() };
        let mut authentication = Authentication {
            users: vec![User { grant: of_a.clone(), ..user("a", "one") }],
            ..Default::default()
        };
        assert!(authentication.must_be_given() && authentication.unauthenticated().is_none());
        assert!(!admits(&authentication, &Credentials::default()));
        authentication.no_auth_user = Some("a".to_owned());
        assert!(authentication.is_required() && !authentication.must_be_given());
        assert_eq!(authentication.unauthenticated(), Some(of_a));
        assert!(admits(&authentication, &Credentials::default()));
        for wrong in [given("a", "", ""), given("", "one", ""), given("", "", "one")] {
            assert!(!admits(&authentication, &wrong));
        }
    }

    #[test]
    fn the_user_is_the_one_that_the_certificate_names_and_no_other() {
        let file = testkit::nats::tls_certificate();
        let certificate = CertificateDer::from_pem_file(file).unwrap();
        let names = Some(Arc::new(CertificateNames::read(&certificate)));
        let with = |credentials| Credentials { certificate: names.clone(), ..credentials };
        let users = vec![user("localhost", "one"), user("other", "two")];
        let plain = Authentication { users, ..Default::default() };
        let mapped = Authentication { maps_certificates: true, ..plain.clone() };
        assert_eq!(mapped.name_of(&with(given("other", "", ""))), Some("localhost"));
        assert!(admits(&mapped, &with(Credentials::default())));
        assert!(!admits(&mapped, &given("other", "two", "")));
        assert!(admits(&plain, &with(given("other", "two", ""))));
        assert!(!admits(&plain, &with(Credentials::default())));
        let silent = Some("other".to_owned());
        let plain = Authentication { no_auth_user: silent.clone(), ..plain };
        assert_eq!(plain.name_of(&with(Credentials::default())), Some("other"));
        assert!(admits(&plain, &with(Credentials::default())));
        let mapped = Authentication { no_auth_user: silent, ..mapped };
        assert!(mapped.must_be_given() && mapped.unauthenticated().is_none());
        assert!(!admits(&mapped, &Credentials::default()));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", user("a", "hunter2")).contains("hunter2"));
    }
}
