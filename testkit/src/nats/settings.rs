//! Settings for both servers, in the form that each understands.

use super::server::Kind;
use super::{tls_certificate, tls_key};
use crate::process::listening_only;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A server's settings where they differ from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The newest nats-server, or one that behaves like it; otherwise Debian's.
    pub newest: bool,
    /// Listen here; otherwise on a port that is free.
    pub port: Option<u16>,
    pub max_payload: Option<usize>,
    pub max_control_line: Option<usize>,
    pub max_connections: Option<usize>,
    pub max_subscriptions: Option<usize>,
    pub ping_interval_ms: Option<u64>,
    pub ping_max: Option<u32>,
    pub auth_timeout_ms: Option<u64>,
    /// One user, and its password.
    pub user: Option<(&'static str, &'static str)>,
    pub token: Option<&'static str>,
    pub users: Vec<User>,
    /// The user of clients that do not log in.
    pub no_auth_user: Option<&'static str>,
    pub system_account: Option<&'static str>,
    pub max_pending_bytes: Option<usize>,
    pub write_deadline_ms: Option<u64>,
    pub lame_duck_duration_ms: Option<u64>,
    pub lame_duck_grace_ms: Option<u64>,
    /// Whether TLS is required.
    pub tls: bool,
    /// Whether, with TLS, the certificates of clients say which users they are.
    pub verify_and_map: bool,
    /// Fanfare reads the file of nats-server.
    pub nats_file: bool,
    /// More flags with their values, for Fanfare alone.
    pub flags: Vec<String>,
}

/// A user with a password, or without, and what it may publish and subscribe.
#[derive(Clone, Debug)]
pub struct User {
    pub name: &'static str,
    pub password: &'static str,
    /// None may do everything.
    pub publish: Option<Permission>,
    pub subscribe: Option<Permission>,
    /// How many answers to one request, and within how many milliseconds.
    pub responses: Option<(u32, u64)>,
    /// The public key that stands for name and password.
    pub nkey: Option<&'static str>,
    /// The account; otherwise the global one.
    pub account: Option<&'static str>,
}

impl User {
    pub fn new(name: &'static str, password: &'static str) -> Self {
        Self {
            name,
            password,
            publish: None,
            subscribe: None,
            responses: None,
            nkey: None,
            account: None,
        }
    }

    pub fn with_nkey(nkey: &'static str) -> Self {
        Self { nkey: Some(nkey), ..Self::new("", "") }
    }

    pub fn of(account: &'static str, name: &'static str, password: &'static str) -> Self {
        Self { account: Some(account), ..Self::new(name, password) }
    }
}

/// Patterns: what is allowed, less what is denied. No allowed pattern allows everything.
#[derive(Clone, Debug)]
pub struct Permission {
    pub allow: &'static [&'static str],
    pub deny: &'static [&'static str],
}

impl Settings {
    /// Listens on that port.
    pub fn on_port(port: u16) -> Self {
        Self { port: Some(port), ..Self::default() }
    }

    /// The command-line arguments. What only fits a file is written to one, in `folder`.
    pub fn arguments(&self, kind: Kind, folder: &std::path::Path) -> Vec<String> {
        match kind {
            Kind::NatsServer => {
                let file = folder.join("nats-server.conf");
                std::fs::write(&file, self.nats_server_file()).unwrap();
                vec!["-c".to_owned(), file.display().to_string()]
            }
            Kind::Fanfare if self.nats_file => {
                let file = folder.join("nats-server.conf");
                std::fs::write(&file, self.nats_server_file()).unwrap();
                let mut flags = listening_only("--nats", "");
                let listens = flags.iter().position(|flag| flag == "--nats").unwrap();
                flags.drain(listens..listens + 2);
                let version = if self.newest { "2.15" } else { "2.9" };
                flags.extend(["--log", "warn", "--nats-version", version].map(str::to_owned));
                flags.extend(["--nats-config".to_owned(), file.display().to_string()]);
                flags
            }
            Kind::Fanfare => self.fanfare_flags(folder),
        }
    }

    fn nats_server_file(&self) -> String {
        let mut text = format!("listen: \"127.0.0.1:{}\"\n", self.port.map_or(-1, i32::from));
        let mut line = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                writeln!(text, "{name}: {value}").unwrap();
            }
        };
        let milliseconds = |value: Option<u64>| value.map(|value| format!("\"{value}ms\""));
        line("max_payload", self.max_payload.map(|value| value.to_string()));
        line("max_control_line", self.max_control_line.map(|value| value.to_string()));
        line("max_connections", self.max_connections.map(|value| value.to_string()));
        line("max_subscriptions", self.max_subscriptions.map(|value| value.to_string()));
        line("ping_interval", milliseconds(self.ping_interval_ms));
        line("ping_max", self.ping_max.map(|value| value.to_string()));
        line("max_pending", self.max_pending_bytes.map(|value| value.to_string()));
        line("write_deadline", milliseconds(Some(self.write_deadline_ms())));
        line("lame_duck_duration", milliseconds(self.lame_duck_duration_ms));
        line("lame_duck_grace_period", milliseconds(self.lame_duck_grace_ms));
        line("authorization", self.nats_server_authorization());
        line("accounts", self.nats_server_accounts());
        line("no_auth_user", self.no_auth_user.map(str::to_owned));
        line("system_account", self.system_account.map(str::to_owned));
        let tls = format!(
            "{{cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify_and_map: {}, timeout: 20}}",
            tls_certificate(),
            tls_key(),
            tls_certificate(),
            self.verify_and_map
        );
        line("tls", self.tls.then_some(tls));
        text
    }

    fn nats_server_authorization(&self) -> Option<String> {
        let mut text = String::new();
        if let Some((name, password)) = self.user {
            write!(text, "user: {name:?}, password: {password:?}, ").unwrap();
        }
        if let Some(token) = self.token {
            write!(text, "token: {token:?}, ").unwrap();
        }
        if let Some(users) = self.nats_server_users(None) {
            write!(text, "users: {users}, ").unwrap();
        }
        let seconds = self.auth_timeout_ms() as f64 / 1000.0;
        (!text.is_empty()).then(|| format!("{{{text}timeout: {seconds:.3}}}"))
    }

    /// Long enough for clients that do not read for a while, unless a test wants otherwise.
    fn write_deadline_ms(&self) -> u64 {
        self.write_deadline_ms.unwrap_or(120_000)
    }

    /// Long enough for every client, however busy the machine is, unless a test wants otherwise.
    fn auth_timeout_ms(&self) -> u64 {
        self.auth_timeout_ms.unwrap_or(30_000)
    }

    fn nats_server_accounts(&self) -> Option<String> {
        let names: BTreeSet<&str> = self.users.iter().filter_map(|user| user.account).collect();
        let accounts = names.iter().filter_map(|name| {
            Some(format!("{name}: {{users: {}}}\n", self.nats_server_users(Some(name))?))
        });
        let accounts: String = accounts.collect();
        (!accounts.is_empty()).then(|| format!("{{{accounts}}}"))
    }

    fn nats_server_users(&self, account: Option<&str>) -> Option<String> {
        let users = self.users.iter().filter(|user| user.account == account);
        let users: Vec<String> = users.map(nats_server_user).collect();
        (!users.is_empty()).then(|| format!("[\n{}\n]", users.join("\n")))
    }

    fn fanfare_flags(&self, folder: &std::path::Path) -> Vec<String> {
        let listen = format!("127.0.0.1:{}", self.port.unwrap_or(0));
        let mut flags = listening_only("--nats", &listen);
        flags.extend(["--log", "warn"].map(str::to_owned));
        let version = if self.newest { "2.15" } else { "2.9" };
        flags.extend(["--nats-version", version].map(str::to_owned));
        let mut flag = |name: &str, value: Option<String>| {
            flags.extend(value.into_iter().flat_map(|value| [format!("--nats-{name}"), value]));
        };
        let text = |value: Option<u64>| value.map(|value| value.to_string());
        let size = |value: Option<usize>| value.map(|value| value.to_string());
        flag("max-payload", size(self.max_payload));
        flag("max-control-line", size(self.max_control_line));
        flag("max-connections", size(self.max_connections));
        flag("max-subscriptions", size(self.max_subscriptions));
        flag("ping-interval-ms", text(self.ping_interval_ms));
        flag("ping-max", text(self.ping_max.map(u64::from)));
        flag("auth-timeout-ms", text(Some(self.auth_timeout_ms())));
        flag("user", self.user.map(|(name, _)| name.to_owned()));
        flag("password", self.user.map(|(_, password)| password.to_owned()));
        flag("token", self.token.map(str::to_owned));
        flag("no-auth-user", self.no_auth_user.map(str::to_owned));
        flag("system-account", self.system_account.map(str::to_owned));
        flag("max-pending-bytes", size(self.max_pending_bytes));
        flag("write-deadline-ms", text(Some(self.write_deadline_ms())));
        if self.tls {
            flag("tls-cert", Some(tls_certificate().display().to_string()));
            flag("tls-key", Some(tls_key().display().to_string()));
            flag("tls-required", Some("true".to_owned()));
        }
        if self.verify_and_map {
            flag("tls-ca", Some(tls_certificate().display().to_string()));
            flag("tls-verify-and-map", Some("true".to_owned()));
        }
        if !self.users.is_empty() {
            let file = folder.join("users.toml");
            let users: Vec<String> = self.users.iter().map(fanfare_user).collect();
            std::fs::write(&file, users.join("\n")).unwrap();
            flag("users-file", Some(file.display().to_string()));
        }
        let times = [
            ("--lame-duck-duration-ms", self.lame_duck_duration_ms),
            ("--lame-duck-grace-ms", self.lame_duck_grace_ms),
        ];
        for (name, ms) in times {
            flags.extend(ms.into_iter().flat_map(|ms| [name.to_owned(), ms.to_string()]));
        }
        for pair in self.flags.chunks(2) {
            if let Some(at) = flags.iter().position(|flag| *flag == pair[0]) {
                flags.drain(at..at + 2);
            }
            flags.extend_from_slice(pair);
        }
        flags
    }
}

fn nats_server_user(user: &User) -> String {
    let permission = |name: &str, permission: &Option<Permission>| match permission {
        Some(Permission { allow: [], deny }) => format!("{name}: {{deny: {deny:?}}}, "),
        Some(Permission { allow, deny: [] }) => format!("{name}: {{allow: {allow:?}}}, "),
        Some(Permission { allow, deny }) => {
            format!("{name}: {{allow: {allow:?}, deny: {deny:?}}}, ")
        }
        None => String::new(),
    };
    let responses =
        |(max, expires_ms)| format!("allow_responses: {{max: {max}, expires: \"{expires_ms}ms\"}}");
    let permissions = permission("publish", &user.publish)
        + &permission("subscribe", &user.subscribe)
        + &user.responses.map(responses).unwrap_or_default();
    let permissions = if permissions.is_empty() {
        permissions
    } else {
        format!(", permissions: {{{permissions}}}")
    };
    match user.nkey {
        Some(nkey) => format!("{{nkey: {nkey}{permissions}}}"),
        None if user.password.is_empty() => format!("{{user: {:?}{permissions}}}", user.name),
        None => format!("{{user: {:?}, password: {:?}{permissions}}}", user.name, user.password),
    }
}

fn fanfare_user(user: &User) -> String {
    let permission = |name: &str, permission: &Option<Permission>| {
        let line = |permission: &Permission| match permission {
            Permission { allow: [], deny } => format!("{name} = {{ deny = {deny:?} }}\n"),
            Permission { allow, deny } => {
                format!("{name} = {{ allow = {allow:?}, deny = {deny:?} }}\n")
            }
        };
        permission.as_ref().map(line).unwrap_or_default()
    };
    let responses = |(max, expires_ms)| {
        format!("allow_responses = {{ max = {max}, expires_ms = {expires_ms} }}\n")
    };
    let permissions = permission("publish", &user.publish)
        + &permission("subscribe", &user.subscribe)
        + &user.responses.map(responses).unwrap_or_default();
    let credentials = match user.nkey {
        Some(nkey) => format!("nkey = {nkey:?}\n"),
        None if user.password.is_empty() => format!("name = {:?}\n", user.name),
        None => format!("name = {:?}\npassword = {:?}\n", user.name, user.password),
    };
    let account = user.account.map(|name| format!("account = {name:?}\n")).unwrap_or_default();
    format!("[[user]]\n{credentials}{account}{permissions}")
}
