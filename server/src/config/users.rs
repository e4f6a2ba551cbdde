//! The file of NATS users.

use super::file::read_toml;
use crate::nats::authentication::{Secret, User};
use crate::nats::permissions::{Permissions, Rules};
use fanfare::{Pattern, TopicError};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// ```toml
/// [[user]]
/// name = "alice"
/// password = "$2a$11$..."    # its bcrypt hash, or itself
///
/// [user.publish]
/// allow = ["orders.>"]       # without it: everything that is not private; []: nothing
/// deny = ["orders.secret"]
///
/// [user.subscribe]
/// allow = ["orders.>", "_INBOX.>"]
/// ```
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    user: Vec<WrittenUser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: String,
    password: String,
    #[serde(default)]
    publish: WrittenRules,
    #[serde(default)]
    subscribe: WrittenRules,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRules {
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Vec<String>,
}

/// Reads the users, or continues a sentence with what is wrong, and in which line.
pub fn users_file(path: &Path) -> Result<Vec<User>, String> {
    let file: UsersFile = read_toml(path)?;
    if file.user.is_empty() {
        return Err("names no user".to_owned());
    }
    file.user
        .into_iter()
        .map(|user| user.check().map_err(|error| format!("has a mistake: {error}")))
        .collect()
}

impl WrittenUser {
    fn check(self) -> Result<User, String> {
        if self.password.is_empty() {
            return Err(format!("user {}: the password is empty", self.name));
        }
        let of_user = |error: TopicError| format!("user {}: {error}", self.name);
        let permissions = Permissions {
            publish: self.publish.check().map_err(of_user)?,
            subscribe: self.subscribe.check().map_err(of_user)?,
        };
        Ok(User {
            password: Secret::new(self.password),
            permissions: Arc::new(permissions),
            name: self.name,
        })
    }
}

impl WrittenRules {
    fn check(&self) -> Result<Rules, TopicError> {
        let patterns = |texts: &Vec<String>| {
            texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>()
        };
        let allow = self.allow.as_ref().map(patterns).transpose()?;
        Ok(Rules::new(allow, patterns(&self.deny)?))
    }
}
