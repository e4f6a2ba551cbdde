//! The file of NATS users.

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
/// allow = ["orders.>"]       # without it, or empty: everything
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
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

/// Reads the users, or says in part of a sentence what is wrong, and in which line.
pub fn users_file(path: &Path) -> Result<Vec<User>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let file: UsersFile = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("{shown} line {line}: {}", error.message().lines().collect::<Vec<_>>().join(" "))
    })?;
    if file.user.is_empty() {
        return Err(format!("{shown} names no user"));
    }
    file.user
        .into_iter()
        .map(|user| user.check().map_err(|error| format!("{shown}: {error}")))
        .collect()
}

impl WrittenUser {
    fn check(self) -> Result<User, String> {
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
        let patterns = |texts: &[String]| {
            texts.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()
        };
        Ok(Rules { allow: patterns(&self.allow)?, deny: patterns(&self.deny)? })
    }
}
