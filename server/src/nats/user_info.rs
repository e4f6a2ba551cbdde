//! The answer to a client that asks who it is, in nats-server's words.

use super::permissions::{Permissions, ResponseRule, Rules};
use serde_json::{Map, Value, json};

/// Where clients ask.
pub(super) const SUBJECT: &str = "$SYS.REQ.USER.INFO";

/// A user, its account, and its rights if there are rules. (Observed: a client without a user has
/// an empty name, and one kind of rule brings the other, empty.)
pub(super) fn describe(user: &str, account: &str, permissions: &Permissions) -> Value {
    let mut said = json!({ "user": user, "account": account, "account_name": account });
    let [publish, subscribe] = [&permissions.publish, &permissions.subscribe].map(lists);
    if !publish.is_empty() || !subscribe.is_empty() || permissions.responses.is_some() {
        said["permissions"] = json!({ "publish": publish, "subscribe": subscribe });
        if let Some(rule) = permissions.responses {
            said["permissions"]["responses"] = described(rule);
        }
    }
    said
}

/// Without empty ones.
fn lists(rules: &Rules) -> Map<String, Value> {
    let lists = [("allow", rules.allowed()), ("deny", rules.denied())];
    let lists = lists.into_iter().filter(|(_, rules)| !rules.is_empty());
    lists.map(|(name, rules)| (name.to_owned(), rules.into())).collect()
}

/// With -1 for no limit.
fn described(ResponseRule { max, expires }: ResponseRule) -> Value {
    let ttl_ns = expires.map_or(-1, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    json!({ "max": max.map_or(-1, i64::from), "ttl": ttl_ns })
}
