//! What clients of the system account ask the server, in nats-server's words: how it is, and the
//! documents that the admin listener has too.

use super::info::ServerInfo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// The documents that can be asked for.
const DOCUMENTS: [&str; 9] =
    ["VARZ", "CONNZ", "SUBSZ", "ACCOUNTZ", "HEALTHZ", "LEAFZ", "ROUTEZ", "GATEWAYZ", "JSZ"];

/// The documents that can be asked for by account.
const OF_ACCOUNT: [&str; 2] = ["CONNZ", "SUBSZ"];

/// A question to the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inquiry {
    /// How the server is.
    Statsz,
    /// The document at this path of the admin listener, with this query.
    Document(String),
    /// Something of other servers: this one says nothing.
    OfOthers,
    /// The options are not what they have to be, in words.
    Wrong(String),
}

impl Inquiry {
    /// The question that a request to `subject` with these options asks; `None` if it is not for a
    /// server at all.
    pub fn of(subject: &str, options: &[u8], info: &ServerInfo) -> Option<Self> {
        let rest = subject.strip_prefix("$SYS.REQ.")?;
        let (what, account) = if let Some(rest) = rest.strip_prefix("SERVER.") {
            let (whom, what) = rest.split_once('.').unwrap_or((rest, "STATSZ"));
            let is_for_us = whom == "PING" || whom == info.server_id && rest != whom;
            (Some(what).filter(|_| is_for_us)?, None)
        } else {
            let (account, what) = rest.strip_prefix("ACCOUNT.")?.rsplit_once('.')?;
            (Some(what).filter(|what| OF_ACCOUNT.contains(what))?, Some(account))
        };
        if what != "STATSZ" && !DOCUMENTS.contains(&what) {
            return None;
        }
        let options = match options {
            [] => Value::Null,
            json => match serde_json::from_slice(json) {
                Ok(options) => options,
                Err(error) => return Some(Self::Wrong(error.to_string())),
            },
        };
        Some(match (is_of_others(&options, info), what) {
            (true, _) => Self::OfOthers,
            (_, "STATSZ") => Self::Statsz,
            (_, what) => {
                let query = query(&options, account);
                Self::Document(format!("/{}?{query}", what.to_ascii_lowercase()))
            }
        })
    }
}

/// Whether the options name servers, and not this one.
fn is_of_others(options: &Value, info: &ServerInfo) -> bool {
    let ours = [("server_name", info.server_name.as_str()), ("host", &info.host), ("cluster", "")];
    let is_other = |(name, ours): (&str, &str)| {
        options[name].as_str().is_some_and(|wanted| !ours.contains(wanted))
    };
    ours.into_iter().any(is_other) || options["tags"].as_array().is_some_and(|it| !it.is_empty())
}

/// nats-server's options, as the admin listener has them in a query.
fn query(options: &Value, account: Option<&str>) -> String {
    let mut pairs = Vec::new();
    for name in ["offset", "limit", "cid"] {
        let number = options[name].as_u64().filter(|number| *number > 0);
        pairs.extend(number.map(|number| format!("{name}={number}")));
    }
    let asked = |name: &str| options[name].as_str().filter(|text| !text.is_empty());
    let account = account.or(asked("acc")).or(asked("account"));
    let texts = ["sort", "user", "test"].map(|name| (name, asked(name)));
    for (name, text) in [("acc", account)].into_iter().chain(texts) {
        let encoded = text.map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        pairs.extend(encoded.map(|text| format!("{name}={text}")));
    }
    // 0 is those that are open, 1 those that have closed, 2 both.
    if options["state"] == 1 {
        pairs.push("state=closed".to_owned());
    }
    match (&options["subscriptions_detail"], &options["subscriptions"]) {
        (Value::Bool(true), _) => pairs.push("subs=detail".to_owned()),
        (_, Value::Bool(true)) => pairs.push("subs=1".to_owned()),
        _ => {}
    }
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::NatsSettings;

    #[test]
    fn requests_become_paths() {
        let address = "127.0.0.1:4222".parse().unwrap();
        let info = ServerInfo::new(&NatsSettings::default(), address, "NID");
        let of = |subject: &str, options: &str| Inquiry::of(subject, options.as_bytes(), &info);
        let path = |path: &str| Some(Inquiry::Document(path.to_owned()));
        assert_eq!(of("$SYS.REQ.SERVER.PING", ""), Some(Inquiry::Statsz));
        assert_eq!(of("$SYS.REQ.SERVER.NID.STATSZ", ""), Some(Inquiry::Statsz));
        assert_eq!(of("$SYS.REQ.SERVER.PING.VARZ", "null"), path("/varz?"));
        let options = r#"{"user":"u","test":"a b","state":1}"#;
        let expected = path("/subsz?user=u&test=a%20b&state=closed");
        assert_eq!(of("$SYS.REQ.SERVER.PING.SUBSZ", options), expected);
        let options = r#"{"cid":7,"limit":2,"offset":0,"acc":"A&B","subscriptions":true}"#;
        let expected = "/connz?limit=2&cid=7&acc=A%26B&subs=1";
        assert_eq!(of("$SYS.REQ.SERVER.NID.CONNZ", options), path(expected));
        let options = r#"{"subscriptions_detail":true,"server_name":"fan","sort":"subs"}"#;
        let expected = "/subsz?acc=A%2E1&sort=subs&subs=detail";
        assert_eq!(of("$SYS.REQ.ACCOUNT.A.1.SUBSZ", options), path(expected));
        for others in [r#"{"server_name":"x"}"#, r#"{"cluster":"c"}"#, r#"{"tags":["a"]}"#] {
            assert_eq!(of("$SYS.REQ.SERVER.PING", others), Some(Inquiry::OfOthers), "{others}");
        }
        assert!(matches!(of("$SYS.REQ.SERVER.PING.VARZ", "junk"), Some(Inquiry::Wrong(_))));
        let nobodys = ["SERVER.NID", "SERVER.X.VARZ", "SERVER.PING.KICK", "ACCOUNT.A.X", "X"];
        for nobodys in nobodys {
            assert_eq!(of(&format!("$SYS.REQ.{nobodys}"), ""), None, "{nobodys}");
        }
    }
}
