//! Access rights: which user's pushes a client may receive, and where a sender may push. Keys sign
//! datagrams; clients and HTTP senders show tokens.

use crate::codec::datagram::{Target, is_name};
use crate::limits::PUSH_KEY_BYTES_MIN;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The keys and tokens of a gateway. Without tokens, clients and senders on the server's own
/// machine may do everything, and others nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    keys: HashMap<String, Arc<Key>>,
    /// The tokens, by their SHA-256, so the time of a look-up says nothing about them.
    tokens: Option<HashMap<[u8; 32], Arc<Rights>>>,
}

/// A key that signs datagrams: `[[key]]` in the file of keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The key's id in datagrams.
    pub id: String,
    /// The secret, as text.
    pub secret: String,
    /// The targets it may push to: `user:42`, `user:*`, `group:news-*`, `all`, `topic:orders.*`,
    /// `*`.
    #[serde(default = "everybody")]
    pub targets: Vec<String>,
}

/// A token: `[[token]]` in the file of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// The token itself.
    pub token: String,
    /// The user whose pushes the holder gets; `*` for any, `None` for no pushes.
    pub user: Option<String>,
    /// The groups that the holder may join; a final `*` stands for anything.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The targets that the holder may push to, as in [`Key::targets`]. None by default.
    #[serde(default)]
    pub targets: Vec<String>,
}

fn everybody() -> Vec<String> {
    vec!["*".to_owned()]
}

/// The rights of a sender or client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Everything, since it comes from this machine and there are no tokens.
    All,
    /// The rights of a key's holder.
    Key(Arc<Key>),
    /// The rights of a token's holder.
    Token(Arc<Rights>),
}

/// Why a sender or client is denied something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A token is needed, and none was given.
    TokenNeeded,
    /// The token is unknown.
    UnknownToken,
    /// There are no tokens, and it is not on our own machine.
    NotLocal,
    /// The holder may not get this user's pushes.
    User,
    /// The holder may not join this group.
    Group,
    /// The holder may not push to this target.
    Target,
}

impl fmt::Display for Denied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TokenNeeded => "a token is needed",
            Self::UnknownToken => "there is no such token",
            Self::NotLocal => {
                "only this machine is let in without a token, and no tokens are set up"
            }
            Self::User => "this token is not that user's",
            Self::Group => "this token may not join that group",
            Self::Target => "not allowed to push there",
        })
    }
}

impl std::error::Error for Denied {}

impl Access {
    /// Access with these keys and tokens; `None` for no tokens.
    ///
    /// # Errors
    /// One sentence about an entry that cannot be right.
    pub fn new(keys: Vec<Key>, tokens: Option<Vec<Rights>>) -> Result<Self, String> {
        let mut access = Self::default();
        for key in keys {
            key.check()?;
            if let Some(double) = access.keys.insert(key.id.clone(), Arc::new(key)) {
                return Err(format!("the key {} is listed twice", double.id));
            }
        }
        if let Some(tokens) = tokens {
            let mut by_hash = HashMap::new();
            for (index, rights) in tokens.into_iter().enumerate() {
                rights.check().map_err(|problem| format!("token {}: {problem}", index + 1))?;
                if by_hash.insert(hash(&rights.token), Arc::new(rights)).is_some() {
                    return Err(format!("token {} is listed twice", index + 1));
                }
            }
            access.tokens = Some(by_hash);
        }
        Ok(access)
    }

    /// Whether there is any key to sign datagrams with.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The key with this id.
    pub fn key(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.get(id)
    }

    /// Whether everybody needs a token. If not, everybody on this machine may do everything.
    pub fn wants_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// The rights of a token's holder, or of somebody without a token.
    ///
    /// # Errors
    /// [`Denied`], if it may do nothing.
    pub fn grant(&self, token: Option<&str>, is_local: bool) -> Result<Grant, Denied> {
        match (&self.tokens, token) {
            (None, _) if is_local => Ok(Grant::All),
            (None, _) => Err(Denied::NotLocal),
            (Some(_), None) => Err(Denied::TokenNeeded),
            (Some(tokens), Some(token)) => {
                tokens.get(&hash(token)).cloned().map(Grant::Token).ok_or(Denied::UnknownToken)
            }
        }
    }
}

impl Grant {
    /// Whether it may get this user's pushes.
    pub fn be_user(&self, user: &str) -> Result<(), Denied> {
        self.allows(user, |_| &[], |rights| rights.user.as_slice()).ok_or(Denied::User)
    }

    /// Whether it may join this group.
    pub fn join(&self, group: &str) -> Result<(), Denied> {
        self.allows(group, |_| &[], |rights| &rights.groups).ok_or(Denied::Group)
    }

    /// Whether it may push to this target.
    pub fn push_to(&self, target: Target<'_>) -> Result<(), Denied> {
        self.allows(target, |key| &key.targets, |rights| &rights.targets).ok_or(Denied::Target)
    }

    fn allows(
        &self,
        wanted: impl fmt::Display,
        of_key: fn(&Key) -> &[String],
        of_token: fn(&Rights) -> &[String],
    ) -> Option<()> {
        let allowed = match self {
            Self::All => return Some(()),
            Self::Key(key) => of_key(key),
            Self::Token(rights) => of_token(rights),
        };
        let wanted = wanted.to_string();
        allowed.iter().any(|allowed| covers(allowed, &wanted)).then_some(())
    }
}

impl Key {
    fn check(&self) -> Result<(), String> {
        if !is_name(&self.id) {
            return Err(format!("{:?} cannot be a key's id", self.id));
        }
        if self.secret.len() < PUSH_KEY_BYTES_MIN {
            return Err(format!(
                "the secret of {} is shorter than {PUSH_KEY_BYTES_MIN} bytes",
                self.id
            ));
        }
        check_targets(&self.targets)
    }
}

impl Rights {
    fn check(&self) -> Result<(), String> {
        if self.token.is_empty() {
            return Err("it is empty".to_owned());
        }
        if let Some(user) = self.user.as_deref().filter(|user| *user != "*" && !is_name(user)) {
            return Err(format!("{user:?} cannot be a user's id"));
        }
        check_targets(&self.targets)
    }
}

/// A pattern that could never cover a target is a mistake.
fn check_targets(patterns: &[String]) -> Result<(), String> {
    let is_one = |pattern: &str| {
        matches!(pattern, "*" | "all")
            || ["user:", "group:", "topic:"].iter().any(|kind| pattern.starts_with(kind))
    };
    match patterns.iter().find(|pattern| !is_one(pattern)) {
        Some(wrong) => Err(format!(
            "{wrong:?} is not a target; user:ID, group:NAME, topic:NAME, each may end with *; \
             all; *"
        )),
        None => Ok(()),
    }
}

/// Whether a text is the pattern, or begins like one that ends with `*`.
fn covers(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => pattern == text,
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(token: &str) -> Rights {
        Rights {
            token: token.into(),
            user: Some("42".into()),
            groups: vec!["news".into(), "team-*".into()],
            targets: vec!["user:*".into(), "topic:orders.*".into()],
        }
    }

    #[test]
    fn without_tokens_our_own_machine_may_do_everything_and_others_nothing() {
        let access = Access::default();
        let grant = access.grant(Some("whatever"), true).unwrap();
        assert_eq!(
            (grant.be_user("x"), grant.join("y"), grant.push_to(Target::All)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(access.grant(None, false), Err(Denied::NotLocal));
    }

    #[test]
    fn a_token_grants_what_it_says_and_no_more() {
        let access =
            Access::new(Vec::new(), Some(vec![rights("secret"), rights("other")])).unwrap();
        assert_eq!(access.grant(None, true), Err(Denied::TokenNeeded));
        assert!(Access::new(Vec::new(), Some(vec![rights("")])).is_err());
        assert_eq!(access.grant(Some("secre"), true), Err(Denied::UnknownToken));
        let grant = access.grant(Some("secret"), false).unwrap();
        assert_eq!((grant.be_user("42"), grant.be_user("421")), (Ok(()), Err(Denied::User)));
        assert_eq!((grant.join("team-a"), grant.join("newsx")), (Ok(()), Err(Denied::Group)));
        assert_eq!(
            (grant.push_to(Target::User("7")), grant.push_to(Target::All)),
            (Ok(()), Err(Denied::Target))
        );
        assert_eq!(grant.push_to(Target::Topic("orders.eu")), Ok(()));
        assert_eq!(grant.push_to(Target::Topic("order")), Err(Denied::Target));
    }

    #[test]
    fn a_key_pushes_and_is_nobody() {
        let key =
            Key { id: "shop".into(), secret: "0123456789abcdef".into(), targets: everybody() };
        let access = Access::new(vec![key.clone()], None).unwrap();
        let grant = Grant::Key(access.key("shop").unwrap().clone());
        assert_eq!((grant.push_to(Target::All), grant.be_user("42")), (Ok(()), Err(Denied::User)));
        assert_eq!(grant.join("news"), Err(Denied::Group));
        assert_eq!(access.key("sho"), None);
        assert!(access.has_keys() && !Access::default().has_keys());
        assert!(Access::new(vec![key.clone(), key.clone()], None).unwrap_err().contains("twice"));
        assert!(
            Access::new(vec![Key { secret: "short".into(), ..key.clone() }], None)
                .unwrap_err()
                .contains("shorter")
        );
        assert!(
            Access::new(vec![Key { targets: vec!["users".into()], ..key }], None)
                .unwrap_err()
                .contains("not a target")
        );
        assert!(
            Access::new(Vec::new(), Some(vec![rights("a"), rights("a")]))
                .unwrap_err()
                .contains("twice")
        );
    }
}
