//! The file of NATS users.

use super::file::read_toml;
use crate::codec::nats::nkey::Nkey;
use crate::nats::accounts::global;
use crate::nats::authentication::{Grant, NkeyUser, Secret, User};
use crate::nats::permissions::{GroupRule, Permissions, ResponseRule, Rules};
use fanfare::{Pattern, Topic, TopicError};
use serde::Deserialize;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// ```toml
/// [[user]]
/// name = "alice"
/// password = "$2a$11$..."    # its bcrypt hash, or itself; none with tls-verify-and-map
///
/// [user.publish]
/// allow = ["orders.>"]       # without it: everything that is not private; []: nothing
/// deny = ["orders.secret"]
///
/// [user.subscribe]
/// allow = ["orders.>", "_INBOX.>", "jobs workers"]   # `jobs` in the queue group `workers` alone
///
/// [[user]]
/// account = "SHOP"           # its subjects are unseen by other accounts; without it: $G
/// nkey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
/// allow_responses = { max = 10, expires_ms = 60000 }  # or true: one, within two minutes; 0: any
/// ```
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    user: Vec<WrittenUser>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenUser {
    #[serde(default)]
    pub name: String,
    pub password: Option<String>,
    pub nkey: Option<String>,
    pub account: Option<String>,
    pub allow_responses: Option<WrittenResponses>,
    #[serde(default)]
    pub publish: WrittenRules,
    #[serde(default)]
    pub subscribe: WrittenRules,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRules {
    pub allow: Option<Vec<String>>,
    #[serde(default)]
    pub deny: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum WrittenResponses {
    Flag(bool),
    Rule(WrittenResponseRule),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenResponseRule {
    pub max: Option<u32>,
    pub expires_ms: Option<u64>,
}

/// Reads the users. The error continues a sentence with what is wrong, and the line.
pub fn users_file(path: &Path) -> Result<(Vec<User>, Vec<NkeyUser>), String> {
    let file: UsersFile = read_toml(path)?;
    if file.user.is_empty() {
        return Err("names no user".to_owned());
    }
    let (mut users, mut nkeys) = (Vec::new(), Vec::new());
    for user in file.user {
        user.check(&mut users, &mut nkeys).map_err(|error| format!("has a mistake: {error}"))?;
    }
    Ok((users, nkeys))
}

impl WrittenUser {
    /// Adds the user to those of its kind. The error says what is wrong with it.
    pub fn check(self, users: &mut Vec<User>, nkeys: &mut Vec<NkeyUser>) -> Result<(), String> {
        let Self { name, password, nkey, .. } = &self;
        let shown = nkey.as_ref().unwrap_or(name);
        let of_user = |error: &dyn Display| format!("user {shown}: {error}");
        let permissions = self.permissions().map_err(|error| of_user(&error))?;
        let account = match self.account.as_deref() {
            None => global(),
            Some(name) if is_account_name(name) => name.into(),
            Some(_) => return Err(of_user(&"an account's name has no blanks and is not empty")),
        };
        let grant = Grant::new(permissions, account);
        match (name.as_str(), password.as_deref(), nkey) {
            ("", None, Some(key)) => {
                let key = Nkey::parse(key).map_err(|error| of_user(&format!("that {error}")))?;
                nkeys.push(NkeyUser { key, grant });
            }
            ("", ..) | (_, _, Some(_)) => {
                return Err(of_user(&"give a name and a password, or an nkey alone"));
            }
            (_, Some(""), None) => return Err(of_user(&"the password is empty")),
            (_, password, None) => {
                let password = password.map(Secret::new);
                users.push(User { name: name.clone(), password, grant });
            }
        }
        Ok(())
    }

    fn permissions(&self) -> Result<Permissions, TopicError> {
        let responses = self.allow_responses.as_ref().and_then(WrittenResponses::rule);
        // A user that may answer may publish nothing else by default.
        let default = responses.is_some().then(Vec::new);
        let publish_allow = self.publish.allow.clone().or(default);
        let publish = WrittenRules { allow: publish_allow, deny: self.publish.deny.clone() };
        let (publish, subscribe) = (publish.check(false)?, self.subscribe.check(true)?);
        Ok(Permissions { publish, subscribe, responses })
    }
}

/// Whether an account can have this name, which becomes part of subjects.
fn is_account_name(name: &str) -> bool {
    Topic::literal(name).is_ok()
}

impl WrittenResponses {
    fn rule(&self) -> Option<ResponseRule> {
        match self {
            Self::Flag(is_allowed) => is_allowed.then(ResponseRule::default),
            Self::Rule(written) => {
                let default = ResponseRule::default();
                let expires = written.expires_ms.map(Duration::from_millis).or(default.expires);
                Some(ResponseRule {
                    max: written.max.or(default.max).filter(|max| *max > 0),
                    expires: expires.filter(|time| !time.is_zero()),
                })
            }
        }
    }
}

impl WrittenRules {
    fn check(&self, is_for_groups: bool) -> Result<Rules, TopicError> {
        let (mut allow, mut deny) = (Vec::new(), Vec::new());
        let (mut allow_groups, mut deny_groups) = (Vec::new(), Vec::new());
        for text in self.allow.iter().flatten() {
            add_rule(text, is_for_groups, &mut allow, &mut allow_groups)?;
        }
        for text in &self.deny {
            add_rule(text, is_for_groups, &mut deny, &mut deny_groups)?;
        }
        let allow = self.allow.is_some().then_some(allow);
        Ok(Rules::new(allow, deny).with_groups(allow_groups, deny_groups))
    }
}

/// Adds a subject, or with `is_for_groups` perhaps a subject and the name of a queue group.
fn add_rule(
    text: &str,
    is_for_groups: bool,
    subjects: &mut Vec<Pattern>,
    groups: &mut Vec<GroupRule>,
) -> Result<(), TopicError> {
    match text.split_once(' ').filter(|_| is_for_groups) {
        None => subjects.push(Pattern::parse(text)?),
        Some((subject, group)) => groups.push(GroupRule {
            subject: Pattern::parse(subject)?,
            group: Pattern::parse(group.trim())?,
        }),
    }
    Ok(())
}
