//! A configuration file of nats-server. What Fanfare has too becomes settings and users; the
//! warnings name the rest.

mod syntax;

use super::file::read;
use super::users::{WrittenResponseRule, WrittenResponses, WrittenRules, WrittenUser};
use crate::cluster::parse_hub;
use crate::nats::accounts::{GLOBAL, SYSTEM};
use crate::nats::authentication::{NkeyUser, User};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use syntax::{At, Entry, Mistake, Outside, Value};

/// A setting's name, its value in the form of a flag's, the key in the file, and its place there.
pub type Said = (&'static str, String, String, At);

/// The contents of a nats-server configuration file.
#[derive(Clone, Default)]
pub struct NatsFile {
    pub settings: Vec<Said>,
    /// The settings of the second and each later link to a cluster.
    pub further_links: Vec<Vec<Said>>,
    pub users: Vec<User>,
    pub nkeys: Vec<NkeyUser>,
    /// Settings that Fanfare ignores, or reads differently from nats-server.
    pub warnings: Vec<String>,
    accounts: BTreeSet<String>,
}

/// Keys that restrict access in ways that Fanfare does not know. Ignoring them would let in those
/// whom they keep out.
const RESTRICTING: [&str; 18] = [
    "operator",
    "operators",
    "root",
    "roots",
    "root_operator",
    "root_operators",
    "trusted",
    "trusted_keys",
    "auth_callout",
    "auth_hook",
    "ocsp_peer",
    "allowed_connection_types",
    "connection_types",
    "clients",
    "verify_cert_and_check_known_urls",
    "pinned_certs",
    "jwt_cookie",
    "proxy_required",
];

/// The keys of what users without permissions of their own may do.
const DEFAULT_PERMISSIONS: [&str; 3] = ["default_permissions", "default_permission", "permissions"];

type Blocks<'a> = Vec<&'a Entry>;

impl NatsFile {
    /// Reads a file, and those that it includes.
    pub fn read(path: &Path) -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).ok();
        let text = read(path).map_err(|problem| format!("{} {problem}", path.display()))?;
        Self::of(&text, path, Outside { read: &read, variable: &variable })
    }

    fn of(text: &str, path: &Path, outside: Outside<'_>) -> Result<Self, String> {
        let entries = syntax::parse(text, path, outside).map_err(|mistake| mistake.to_string())?;
        let mut file = Self::default();
        file.take(&entries).map_err(|mistake| mistake.to_string())?;
        Ok(file)
    }

    fn take(&mut self, entries: &[Entry]) -> Result<(), Mistake> {
        let (mut host, mut port, mut web_socket) = (None, None, None);
        let mut later: Blocks<'_> = Vec::new();
        for entry in entries {
            let key = entry.key.to_ascii_lowercase();
            match key.as_str() {
                "listen" => (host, port) = address(entry)?,
                "host" | "net" | "addr" => host = Some(text(entry)?),
                "port" => port = Some(number(entry)?),
                "authorization" => self.authorization(entry)?,
                "accounts" => self.accounts(entry)?,
                "tls" => self.tls(entry)?,
                "websocket" | "ws" => web_socket = Some(entry),
                "http" | "http_port" | "monitor_port" => self.monitoring(entry)?,
                "leafnodes" | "leaf" => self.leaf_nodes(entry)?,
                "system_account" | "system" => later.push(entry),
                "no_auth_user" => self.set("nats-no-auth-user", text(entry)?, entry),
                "allow_non_tls" => {
                    let is_required = !flag(entry)?;
                    self.set("nats-tls-required", is_required.to_string(), entry);
                }
                "debug" if flag(entry)? => self.set("log", "debug".to_owned(), entry),
                "trace" if flag(entry)? => self.set("log", "trace".to_owned(), entry),
                "debug" | "trace" => {}
                _ => self.plain(&key, entry)?,
            }
        }
        later.into_iter().try_for_each(|entry| self.system_account(entry))?;
        let addresses = ["listen", "host", "net", "addr", "port"];
        if let Some(listens) = entries.iter().find(|it| is_one_of(it, &addresses)) {
            let place = (host.as_deref(), port.unwrap_or(DEFAULT_PORT));
            self.listens("nats", place, listens)?;
        }
        if let Some(entry) = web_socket {
            self.web_socket(entry)?;
        }
        Ok(())
    }

    /// A key with a single value that Fanfare has a setting for.
    fn plain(&mut self, key: &str, entry: &Entry) -> Result<(), Mistake> {
        let (name, value) = match key {
            "server_name" => ("nats-server-name", text(entry)?),
            "max_payload" => ("nats-max-payload", number(entry)?.to_string()),
            "max_control_line" => ("nats-max-control-line", number(entry)?.to_string()),
            "max_pending" => ("nats-queue-bytes", number(entry)?.to_string()),
            "ping_max" => ("nats-ping-max", number(entry)?.to_string()),
            "ping_interval" => ("nats-ping-interval-ms", ms(entry)?),
            "write_deadline" => ("nats-write-deadline-ms", ms(entry)?),
            "lame_duck_duration" => ("lame-duck-duration-ms", ms(entry)?),
            "lame_duck_grace_period" => ("lame-duck-grace-ms", ms(entry)?),
            "max_connections" | "max_conn" | "max_subscriptions" | "max_subs" => {
                let most = number(entry)?;
                if most <= 0 {
                    self.warn(entry, "means no limit, but Fanfare keeps its own");
                    return Ok(());
                }
                let is_of_connections = key.starts_with("max_conn");
                let name =
                    if is_of_connections { "nats-connections" } else { "nats-max-subscriptions" };
                (name, most.to_string())
            }
            _ => return self.not_honoured(entry),
        };
        self.set(name, value, entry);
        Ok(())
    }

    fn authorization(&mut self, entry: &Entry) -> Result<(), Mistake> {
        let entries = block(entry)?;
        let default = default_permissions(entries);
        let has_user = entries.iter().any(|entry| is_one_of(entry, &["user", "username"]));
        for entry in entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "user" | "username" => self.set("nats-user", text(entry)?, entry),
                // The password that the list of users refers to.
                "pass" | "password" if entry.is_variable && !has_user => {}
                "pass" | "password" => self.set("nats-password", text(entry)?, entry),
                "token" => self.set("nats-token", text(entry)?, entry),
                "timeout" => self.set("nats-auth-timeout-ms", ms(entry)?, entry),
                "users" => self.users(entry, None, default)?,
                _ if is_one_of(entry, &DEFAULT_PERMISSIONS) => {}
                _ => self.not_honoured(entry)?,
            }
        }
        Ok(())
    }

    fn accounts(&mut self, entry: &Entry) -> Result<(), Mistake> {
        if let Value::List(names) = &entry.value {
            let names = names.iter().filter_map(|name| match name {
                Value::Text(name) => Some(name.clone()),
                _ => None,
            });
            self.accounts.extend(names);
            return Ok(());
        }
        for account in block(entry)? {
            self.accounts.insert(account.key.clone());
            let entries = block(account)?;
            let default = default_permissions(entries);
            for entry in entries {
                match entry.key.to_ascii_lowercase().as_str() {
                    "users" => self.users(entry, Some(&account.key), default)?,
                    _ if is_one_of(entry, &DEFAULT_PERMISSIONS) => {}
                    _ => self.not_honoured(entry)?,
                }
            }
        }
        Ok(())
    }

    fn users(
        &mut self,
        entry: &Entry,
        account: Option<&str>,
        default: Option<&Entry>,
    ) -> Result<(), Mistake> {
        let Value::List(users) = &entry.value else {
            return Err(mistake(entry, "must be a list of users"));
        };
        for user in users {
            let Value::Block(entries) = user else {
                return Err(mistake(entry, "must be a list of blocks, each of a user"));
            };
            let mut written =
                WrittenUser { account: account.map(str::to_owned), ..WrittenUser::default() };
            let mut permissions = default;
            for entry in entries {
                match entry.key.to_ascii_lowercase().as_str() {
                    "user" | "username" => written.name = text(entry)?,
                    "pass" | "password" => written.password = Some(text(entry)?),
                    "nkey" => written.nkey = Some(text(entry)?),
                    "permissions" | "permission" | "authorization" => permissions = Some(entry),
                    _ => self.not_honoured(entry)?,
                }
            }
            if let Some(entry) = permissions {
                self.permissions(entry, &mut written)?;
            }
            let checked = written.check(&mut self.users, &mut self.nkeys);
            checked.map_err(|problem| mistake(entry, &format!("has a mistake: {problem}")))?;
        }
        Ok(())
    }

    fn permissions(&mut self, entry: &Entry, of: &mut WrittenUser) -> Result<(), Mistake> {
        for entry in block(entry)? {
            match entry.key.to_ascii_lowercase().as_str() {
                "publish" | "pub" | "import" => of.publish = rules(entry)?,
                "subscribe" | "sub" | "export" => of.subscribe = rules(entry)?,
                "allow_responses" | "publish_allow_responses" | "allow_response" => {
                    of.allow_responses = Some(responses(entry)?);
                }
                // An unknown rule may forbid something.
                _ => return Err(mistake(entry, "is not a permission that Fanfare knows")),
            }
        }
        Ok(())
    }

    fn system_account(&mut self, entry: &Entry) -> Result<(), Mistake> {
        let name = text(entry)?;
        if ![GLOBAL, SYSTEM].contains(&name.as_str()) && !self.accounts.contains(&name) {
            return Err(mistake(entry, "is not one of the accounts"));
        }
        let users = self.users.iter().map(|user| &user.grant);
        let mut grants = users.chain(self.nkeys.iter().map(|user| &user.grant));
        // An account without users has nobody to get its events.
        if grants.any(|grant| *grant.account == *name) {
            self.set("nats-system-account", name, entry);
        }
        Ok(())
    }

    fn tls(&mut self, of: &Entry) -> Result<(), Mistake> {
        for entry in self.certificates(of, ["nats-tls-cert", "nats-tls-key", "nats-tls-ca"])? {
            match entry.key.to_ascii_lowercase().as_str() {
                "verify_and_map" => {
                    self.set("nats-tls-verify-and-map", flag(entry)?.to_string(), entry);
                }
                "timeout" => self.set("nats-tls-timeout-ms", ms(entry)?, entry),
                "handshake_first" | "first" | "immediate" => {
                    let first = match &entry.value {
                        Value::Flag(first) => first.to_string(),
                        _ => "auto".to_owned(),
                    };
                    self.set("nats-tls-handshake-first", first, entry);
                }
                _ => self.not_honoured(entry)?,
            }
        }
        Ok(())
    }

    /// Takes the files of a block for TLS as settings of these names, and returns what else it
    /// has.
    fn certificates<'e>(
        &mut self,
        of: &'e Entry,
        [certificates, key, authorities]: [&'static str; 3],
    ) -> Result<Blocks<'e>, Mistake> {
        let entries = block(of)?;
        let has = |key| entries.iter().any(|entry| is_one_of(entry, &[key]));
        let mut verifies = false;
        for entry in entries.iter().filter(|entry| is_one_of(entry, &["verify", "verify_and_map"]))
        {
            verifies |= flag(entry)?;
        }
        if verifies && !has("ca_file") {
            return Err(mistake(of, "has verify, so it needs a ca_file too"));
        }
        if !has("cert_file") {
            return Err(mistake(of, "needs a cert_file"));
        }
        let mut others = Vec::new();
        for entry in entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "cert_file" => self.set(certificates, text(entry)?, entry),
                "key_file" => self.set(key, text(entry)?, entry),
                "ca_file" if verifies => self.set(authorities, text(entry)?, entry),
                "verify" => {}
                _ => others.push(entry),
            }
        }
        Ok(others)
    }

    fn web_socket(&mut self, of: &Entry) -> Result<(), Mistake> {
        let (mut host, mut port, mut origins) = (None, None, None);
        let mut is_same_origin = false;
        for entry in block(of)? {
            match entry.key.to_ascii_lowercase().as_str() {
                "listen" => (host, port) = address(entry)?,
                "host" | "net" => host = Some(text(entry)?),
                "port" => port = Some(number(entry)?),
                "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin"
                | "origins" | "origin" => origins = Some(texts(entry)?),
                "same_origin" => is_same_origin = flag(entry)?,
                "tls" => self.web_socket_tls(entry)?,
                "no_tls" if flag(entry)? => {
                    self.set("nats-websocket-tls-cert", "off".to_owned(), entry);
                }
                "no_tls" => {}
                "authorization" | "authentication" | "username" | "password" | "token"
                | "no_auth_user" => {
                    return Err(mistake(entry, "is not known for WebSockets alone"));
                }
                _ => self.not_honoured(entry)?,
            }
        }
        let Some(port) = port else { return Err(mistake(of, "needs a port")) };
        // With neither, nats-server lets in pages of all origins; with both, those of the list that
        // are its own too.
        if !is_same_origin {
            let all = || "*".to_owned();
            let origins = origins.map_or_else(all, |origins| origins.join(","));
            self.set("nats-websocket-origins", origins, of);
        }
        self.listens("nats-websocket", (host.as_deref(), port), of)
    }

    fn web_socket_tls(&mut self, of: &Entry) -> Result<(), Mistake> {
        let names = ["nats-websocket-tls-cert", "nats-websocket-tls-key", "nats-websocket-tls-ca"];
        for entry in self.certificates(of, names)? {
            if is_one_of(entry, &["verify_and_map"]) && flag(entry)? {
                return Err(mistake(entry, "is not known for WebSockets alone"));
            }
            self.not_honoured(entry)?;
        }
        Ok(())
    }

    /// Makes a front-end listen. If the file names no host, it listens on all addresses, as
    /// nats-server does, provided that clients have to authenticate; otherwise on a loopback one.
    fn listens(
        &mut self,
        name: &'static str,
        (host, port): (Option<&str>, i64),
        entry: &Entry,
    ) -> Result<(), Mistake> {
        // nats-server's -1 picks a free port.
        let port = if port == -1 { 0 } else { port };
        let Ok(port) = u16::try_from(port) else { return Err(mistake(entry, "is not a port")) };
        let secrets = ["nats-user", "nats-token", "nats-no-auth-user"];
        let is_guarded = !(self.users.is_empty() && self.nkeys.is_empty())
            || self.settings.iter().any(|(name, ..)| secrets.contains(name));
        let host = match host {
            Some(host) => {
                if !is_guarded && !is_loopback(host) {
                    self.warn(entry, "lets in everybody who can reach it, as nats-server would");
                    self.set("nats-allow-anonymous", "true".to_owned(), entry);
                }
                host
            }
            None if is_guarded => "0.0.0.0",
            None => {
                let why = "names no host, and anybody may come in, so it is for this machine alone";
                self.warn(entry, why);
                "127.0.0.1"
            }
        };
        let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
        let host = if is_bare_ipv6 { format!("[{host}]") } else { host.to_owned() };
        self.set(name, format!("{host}:{port}"), entry);
        Ok(())
    }

    fn monitoring(&mut self, entry: &Entry) -> Result<(), Mistake> {
        let (host, port) = address(entry)?;
        let port = port.map_or(0, |port| port.max(0));
        let host = host.filter(|host| is_loopback(host)).unwrap_or_else(|| {
            self.warn(entry, "is for this machine alone, since admin pages can end connections");
            "127.0.0.1".to_owned()
        });
        self.set("admin", format!("{host}:{port}"), entry);
        Ok(())
    }

    fn leaf_nodes(&mut self, entry: &Entry) -> Result<(), Mistake> {
        for entry in block(entry)? {
            let Value::List(remotes) = &entry.value else {
                self.not_honoured(entry)?;
                continue;
            };
            if !is_one_of(entry, &["remotes"]) {
                self.not_honoured(entry)?;
                continue;
            }
            for (number, remote) in remotes.iter().enumerate() {
                let Value::Block(remote) = remote else {
                    return Err(mistake(entry, "must be a list of blocks, each of a cluster"));
                };
                let mut link = Self::default();
                remote.iter().try_for_each(|entry| link.remote(entry))?;
                self.warnings.append(&mut link.warnings);
                match number {
                    0 => self.settings.append(&mut link.settings),
                    _ => self.further_links.push(link.settings),
                }
            }
        }
        Ok(())
    }

    fn remote(&mut self, entry: &Entry) -> Result<(), Mistake> {
        match entry.key.to_ascii_lowercase().as_str() {
            "url" | "urls" => {
                let urls = texts(entry)?;
                if urls.iter().any(|url| parse_hub(url).is_err()) {
                    return Err(mistake(entry, "is not the address of a hub"));
                }
                self.set("cluster", urls.join(","), entry);
            }
            "credentials" | "creds" => self.set("cluster-creds-file", text(entry)?, entry),
            "nkey" | "seed" => self.set("cluster-nkey-seed", text(entry)?, entry),
            "tls" => block(entry)?.iter().try_for_each(|entry| self.remote_tls(entry))?,
            "account" | "local" | "local_account" => {
                self.set("cluster-account", text(entry)?, entry);
            }
            _ => self.not_honoured(entry)?,
        }
        Ok(())
    }

    fn remote_tls(&mut self, entry: &Entry) -> Result<(), Mistake> {
        match entry.key.to_ascii_lowercase().as_str() {
            "ca_file" => self.set("cluster-tls-ca", text(entry)?, entry),
            "cert_file" => self.set("cluster-tls-cert", text(entry)?, entry),
            "key_file" => self.set("cluster-tls-key", text(entry)?, entry),
            "handshake_first" | "first" | "immediate" => {
                self.set("cluster-tls-handshake-first", flag(entry)?.to_string(), entry);
            }
            _ => self.not_honoured(entry)?,
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, value: String, entry: &Entry) {
        self.settings.retain(|(present, ..)| *present != name);
        self.settings.push((name, value, entry.key.clone(), entry.at.clone()));
    }

    fn not_honoured(&mut self, entry: &Entry) -> Result<(), Mistake> {
        if is_one_of(entry, &RESTRICTING) {
            let problem = "restricts access in a way that Fanfare does not know";
            return Err(mistake(entry, problem));
        }
        if !entry.is_variable {
            self.warn(entry, "is not honoured");
        }
        Ok(())
    }

    fn warn(&mut self, entry: &Entry, what: &str) {
        let At { file, line, .. } = &entry.at;
        self.warnings.push(format!("{} line {line}: {} {what}", file.display(), entry.key));
    }
}

/// nats-server's default.
const DEFAULT_PORT: i64 = 4222;

fn is_one_of(entry: &Entry, keys: &[&str]) -> bool {
    keys.iter().any(|key| entry.key.eq_ignore_ascii_case(key))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

fn default_permissions(entries: &[Entry]) -> Option<&Entry> {
    entries.iter().find(|entry| is_one_of(entry, &DEFAULT_PERMISSIONS))
}

/// A host and a port, or one of them.
fn address(entry: &Entry) -> Result<(Option<String>, Option<i64>), Mistake> {
    let text = match &entry.value {
        Value::Integer(port) => return Ok((None, Some(*port))),
        Value::Text(text) => text,
        _ => return Err(mistake(entry, "must be HOST:PORT")),
    };
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some(("", Ok(port))) => Ok((None, Some(port))),
        Some((host, Ok(port))) => Ok((Some(host.to_owned()), Some(port))),
        _ => Err(mistake(entry, "must be HOST:PORT")),
    }
}

fn rules(entry: &Entry) -> Result<WrittenRules, Mistake> {
    let Value::Block(entries) = &entry.value else {
        return Ok(WrittenRules { allow: Some(texts(entry)?), deny: Vec::new() });
    };
    let mut rules = WrittenRules::default();
    for entry in entries {
        match entry.key.to_ascii_lowercase().as_str() {
            "allow" => rules.allow = Some(texts(entry)?),
            "deny" => rules.deny = texts(entry)?,
            _ => return Err(mistake(entry, "is neither allow nor deny")),
        }
    }
    Ok(rules)
}

fn responses(entry: &Entry) -> Result<WrittenResponses, Mistake> {
    let Value::Block(entries) = &entry.value else {
        return flag(entry).map(WrittenResponses::Flag);
    };
    let mut rule = WrittenResponseRule { max: None, expires_ms: None };
    for entry in entries {
        match entry.key.to_ascii_lowercase().as_str() {
            // A negative number means no limit, which is 0 here; 0 means the default.
            "max" | "max_msgs" | "max_messages" | "max_responses" => match number(entry)? {
                0 => {}
                most => rule.max = Some(u32::try_from(most).unwrap_or(0)),
            },
            "expires" | "expiration" | "ttl" => {
                rule.expires_ms = Some(duration(entry)?.as_millis() as u64).filter(|ms| *ms > 0);
            }
            _ => return Err(mistake(entry, "is neither max nor expires")),
        }
    }
    Ok(WrittenResponses::Rule(rule))
}

fn block(entry: &Entry) -> Result<&[Entry], Mistake> {
    match &entry.value {
        Value::Block(entries) => Ok(entries),
        _ => Err(mistake(entry, "must be a block: { ... }")),
    }
}

fn text(entry: &Entry) -> Result<String, Mistake> {
    match &entry.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(mistake(entry, "must be a text; put it in quotation marks")),
    }
}

/// A text, or several.
fn texts(entry: &Entry) -> Result<Vec<String>, Mistake> {
    let Value::List(values) = &entry.value else { return Ok(vec![text(entry)?]) };
    let text = |value: &Value| match value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(mistake(entry, "must be a list of texts")),
    };
    values.iter().map(text).collect()
}

fn number(entry: &Entry) -> Result<i64, Mistake> {
    match &entry.value {
        Value::Integer(number) => Ok(*number),
        _ => Err(mistake(entry, "must be a whole number")),
    }
}

fn flag(entry: &Entry) -> Result<bool, Mistake> {
    match &entry.value {
        Value::Flag(flag) => Ok(*flag),
        _ => Err(mistake(entry, "must be true or false")),
    }
}

fn ms(entry: &Entry) -> Result<String, Mistake> {
    let duration = duration(entry)?;
    // A fraction of a millisecond is not none.
    Ok(duration.as_nanos().div_ceil(1_000_000).to_string())
}

/// Seconds, or a duration as Go writes it.
fn duration(entry: &Entry) -> Result<Duration, Mistake> {
    let duration = match &entry.value {
        Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        Value::Text(text) => go_duration(text),
        _ => None,
    };
    duration.ok_or_else(|| mistake(entry, "must be a duration such as \"10s\""))
}

fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit() && next != '.')?;
        let (number, with_unit) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| with_unit.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = &with_unit[unit.len()..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

fn mistake(entry: &Entry, problem: &str) -> Mistake {
    Mistake { at: entry.at.clone(), problem: format!("{} {problem}", entry.key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<NatsFile, String> {
        let outside = Outside { read: &|_| Err("is not there".to_owned()), variable: &|_| None };
        NatsFile::of(text, Path::new("test.conf"), outside)
    }

    fn settings(text: &str) -> Vec<String> {
        let file = file(text).unwrap();
        file.settings.iter().map(|(name, value, ..)| format!("{name}={value}")).collect()
    }

    #[test]
    fn settings_are_those_of_fanfare() {
        let said = settings(
            "listen: 127.0.0.1:4333\nserver_name: me\nmax_payload: 1MB\nping_interval: \"2m\"\n\
             write_deadline: 2\nmax_connections: 1k\n\
             tls { cert_file: c, key_file: k, timeout: 0.0001 }\n\
             http: 8222\nleafnodes { remotes [ { urls: [nats://a, nats://b], account: A } ] }\n\
             debug: true\nwebsocket { port: 8080, no_tls: true, allowed_origins: [a, b] }\n",
        );
        for expected in [
            "nats=127.0.0.1:4333",
            "nats-server-name=me",
            "nats-max-payload=1048576",
            "nats-ping-interval-ms=120000",
            "nats-write-deadline-ms=2000",
            "nats-connections=1000",
            "nats-tls-cert=c",
            "nats-tls-key=k",
            "nats-tls-timeout-ms=1",
            "admin=127.0.0.1:8222",
            "cluster=nats://a,nats://b",
            "cluster-account=A",
            "log=debug",
            "nats-websocket=127.0.0.1:8080",
            "nats-websocket-origins=a,b",
            "nats-websocket-tls-cert=off",
        ] {
            assert!(said.iter().any(|it| it == expected), "{expected} in {said:?}");
        }
    }

    #[test]
    fn each_remote_is_a_link() {
        let said = file(
            "leafnodes { remotes [ { url: nats://a }, { url: tls://b, account: B, nkey: S, \
             tls { ca_file: ca, handshake_first: true } } ] }",
        );
        let NatsFile { settings, further_links, warnings, .. } = said.unwrap();
        let names = |said: &[Said]| -> Vec<String> {
            said.iter().map(|(name, value, ..)| format!("{name}={value}")).collect()
        };
        assert_eq!((names(&settings), warnings.len()), (vec!["cluster=nats://a".to_owned()], 0));
        let expected = [
            "cluster=tls://b",
            "cluster-account=B",
            "cluster-nkey-seed=S",
            "cluster-tls-ca=ca",
            "cluster-tls-handshake-first=true",
        ];
        assert_eq!(names(&further_links[0]), expected);
    }

    #[test]
    fn users_have_accounts_and_permissions() {
        let said = file(
            "accounts { A { users [ {user: a, password: p, permissions: {publish: x, \
             subscribe: {deny: y}}} ] }, SYS {} }\nsystem_account: SYS\n\
             authorization { default_permissions: {publish: [d]}, users = [{user: g, pass: p}] }",
        );
        let users = said.unwrap().users;
        let of = |name: &str| &users.iter().find(|user| user.name == name).unwrap().grant;
        assert_eq!((&*of("a").account, &*of("g").account), ("A", "$G"));
        let publishes = |name: &str, topic: &str| {
            of(name).permissions.publish.permit_topic(&topic.parse().unwrap())
        };
        assert!(publishes("a", "x") && !publishes("a", "d"));
        assert!(publishes("g", "d") && !publishes("g", "x"));
        let subscribe = &of("a").permissions.subscribe;
        assert!(!subscribe.permit_topic(&"y".parse().unwrap()));
    }

    #[test]
    fn keys_that_values_refer_to_are_variables_and_need_not_be_settings() {
        let said = file(
            "listen: 127.0.0.1:4222\nauthorization {\n PASS: p\n ADMIN: {publish: [a]}\n \
             UNUSED: 1\n permissions: {publish: [d]}\n users = [{user: a, password: $PASS, \
             permissions: $ADMIN}, {user: b, password: $PASS}]\n}",
        );
        let said = said.unwrap();
        assert!(!said.settings.iter().any(|(name, ..)| *name == "nats-password"));
        assert_eq!(said.warnings, ["test.conf line 5: UNUSED is not honoured"]);
        let may = |at: usize, topic: &str| {
            let grant = &said.users[at].grant;
            grant.permissions.publish.permit_topic(&topic.parse().unwrap())
        };
        assert!(may(0, "a") && !may(0, "d") && may(1, "d") && !may(1, "a"));
    }

    #[test]
    fn origins_of_web_pages_are_those_that_nats_server_lets_in() {
        let origins = |text: &str| {
            let said = settings(&format!("websocket {{ port: 8080, no_tls: true, {text} }}"));
            said.into_iter()
                .find_map(|it| it.strip_prefix("nats-websocket-origins=").map(str::to_owned))
        };
        assert_eq!(origins("").as_deref(), Some("*"));
        assert_eq!(origins("same_origin: false").as_deref(), Some("*"));
        assert_eq!(origins("same_origin: false, origins: [a, b]").as_deref(), Some("a,b"));
        assert_eq!(origins("same_origin: true"), None);
        assert_eq!(origins("allowed_origins: a, same_origin: true"), None);
    }

    #[test]
    fn ignored_settings_are_named_and_unknown_restrictions_refused() {
        let warnings = file("jetstream: enabled\ncluster {\n}\nport: 4222").unwrap().warnings;
        let expected =
            ["line 1: jetstream is not", "line 2: cluster is not", "line 4: port names no"];
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected), "{warnings:?}");
        }
        assert_eq!(warnings.len(), 3);
        for (text, expected) in [
            ("operator: x.jwt", "line 1, column 1: operator restricts access"),
            ("authorization { auth_callout {} }", "auth_callout restricts access"),
            ("authorization { auth_hook {} }", "auth_hook restricts access"),
            ("root_operators: [x]", "root_operators restricts access"),
            ("websocket { port: 1, authentication {} }", "authentication is not known"),
            ("system_account: X", "system_account is not one of the accounts"),
            ("authorization { token: 12345 }", "token must be a text"),
            ("websocket { port: 1, tls {} }", "tls needs a cert_file"),
            (
                "websocket { port: 1, tls { cert_file: c, ca_file: a, verify_and_map: true } }",
                "verify_and_map is not known for WebSockets alone",
            ),
            ("tls { verify: true }", "needs a ca_file"),
            ("ping_interval: soon", "must be a duration"),
        ] {
            let error = file(text).map(drop).unwrap_err();
            assert!(error.contains(expected) && !error.contains("12345"), "{error}");
        }
    }

    #[test]
    fn without_credentials_only_a_named_host_is_open_to_other_machines() {
        let listens =
            |text: &str| settings(text).into_iter().find(|it| it.starts_with("nats=")).unwrap();
        assert_eq!(listens("port: 4333"), "nats=127.0.0.1:4333");
        assert_eq!(listens("port: -1\nauthorization {token: t}"), "nats=0.0.0.0:0");
        let open = settings("listen: 0.0.0.0:4333");
        assert_eq!(open, ["nats-allow-anonymous=true", "nats=0.0.0.0:4333"]);
        for key in ["host", "net", "addr"] {
            assert_eq!(listens(&format!("{key}: ::1")), "nats=[::1]:4222");
        }
    }
}
