//! A link's session: state without I/O. Operations go in, actions come out.

use super::handshake::{HubInfo, append_connect};
use super::settings::ClusterSettings;
use crate::codec::nats::{Block, Credentials, Operation, ProtocolError, subject};
use crate::limits::{
    CLUSTER_DUPLICATE_DELAY_MS, CLUSTER_INTEREST_MAX, CLUSTER_LOOP_DELAY_MS,
    CLUSTER_VERSION_DELAY_MS,
};
use bytes::Bytes;
use fanfare::{Pattern, SubscriptionId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// One connection to a hub.
pub struct Session {
    who: Arc<Identity>,
    credentials: Credentials,
    tls: Tls,
    phase: Phase,
    hub: HubInfo,
    /// The hub's interest. `None` until the broker has a subscription for it, or if that failed.
    interest: HashMap<Key, Option<SubscriptionId>>,
}

/// The server's identity in the cluster. It is the same for as long as the process lives.
#[derive(Debug)]
pub struct Identity {
    /// The link's name in logs.
    pub title: &'static str,
    /// The server's name.
    pub name: String,
    /// The id of this server process.
    pub server_id: String,
    /// A subject that no other server uses. If a hub announces interest in it, there is a loop.
    pub loop_subject: String,
}

/// Whether a connection to a hub is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not encrypted.
    Off,
    /// Encrypted after the hub's first `INFO`.
    AfterInfo,
    /// Encrypted from the first byte on.
    On,
}

type Key = (Bytes, Option<Bytes>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AwaitsInfo,
    /// `CONNECT` was sent.
    AwaitsAccount,
    Joined,
}

/// The terms agreed with the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The hub's name.
    pub hub: String,
    /// The hub's version.
    pub version: String,
    /// The hub's account.
    pub account: String,
    /// Whether the hub takes messages with headers.
    pub with_headers: bool,
    /// Maximum size of a message with its headers; 0: no limit.
    pub max_payload_bytes: usize,
    /// Whether the hub may find a member for a group whose members here have no room.
    pub takes_over: bool,
    /// Whether the hub has streams that clients reach by the usual subjects.
    pub has_streams: bool,
    /// What we may subscribe to; `None`: everything.
    pub may_import: Option<Vec<Pattern>>,
    /// Exceptions to what we may subscribe to.
    pub must_not_import: Vec<Pattern>,
    /// What we may publish; `None`: everything.
    pub may_export: Option<Vec<Pattern>>,
    /// Exceptions to what we may publish.
    pub must_not_export: Vec<Pattern>,
}

/// An action for the link to carry out; those of an operation in order.
#[derive(Debug)]
pub enum Action {
    /// Do the TLS handshake before anything else. The hub must have said nothing more.
    Encrypt,
    /// Send these bytes.
    Send(Vec<u8>),
    /// The link is up: announce our interest to the hub, and let messages through.
    Joined(Box<Terms>),
    /// Subscribe for somebody at the hub, then call [`Session::entered`].
    Enter {
        /// The hub's words for the subscription.
        key: (Bytes, Option<Bytes>),
        pattern: Pattern,
        /// The queue group, if any.
        group: Option<String>,
    },
    /// Unsubscribe: nobody at the hub wants this any more.
    Leave(SubscriptionId),
    /// Publish these messages here.
    Publish(Block),
    /// Count a `PONG`: the hub has processed everything sent before the oldest unanswered `PING`.
    Confirmed,
    /// Remember these hubs of the cluster.
    Hubs(Vec<String>),
    /// Close the connection.
    End(End),
}

/// Why a link has ended, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The reason, from a fixed set of texts, since it becomes a label of the metrics.
    pub reason: &'static str,
    /// The hub's or the system's own words for it, if any.
    pub words: String,
    /// How long to wait before the next attempt; `None`: as long as after any failure.
    pub delay: Option<Duration>,
}

impl End {
    /// An end after which the link dials again as after any failure.
    pub const fn of(reason: &'static str) -> Self {
        Self { reason, words: String::new(), delay: None }
    }

    const fn after(reason: &'static str, delay_ms: u64) -> Self {
        Self { reason, words: String::new(), delay: Some(Duration::from_millis(delay_ms)) }
    }

    /// Adds the words of the hub or the system.
    pub fn in_words(self, words: impl ToString) -> Self {
        Self { words: words.to_string(), ..self }
    }
}

/// What hubs say in `-ERR` before they close, by how it begins, and what it means to us.
const ERRORS: [(&str, End); 13] = [
    ("Authorization Violation", End::of("not authorized")),
    ("Authentication Timeout", End::of("authentication timeout")),
    ("User Authentication Expired", End::of("authentication expired")),
    ("Account Authentication Expired", End::of("authentication expired")),
    ("connection rejected since minimum", End::after("version too old", CLUSTER_VERSION_DELAY_MS)),
    ("remote leafnode has same", End::after("name of the cluster", CLUSTER_LOOP_DELAY_MS)),
    ("Loop detected", End::after("loop", CLUSTER_LOOP_DELAY_MS)),
    ("Duplicate Remote", End::after("name used twice", CLUSTER_DUPLICATE_DELAY_MS)),
    ("Permissions Violation", End::of("permissions violation")),
    ("Maximum Payload", End::of("message too large")),
    ("maximum control line", End::of("line too long")),
    ("maximum subscriptions", End::after("too many subscriptions", CLUSTER_LOOP_DELAY_MS)),
    ("Stale Connection", End::of("stale connection")),
];

impl Session {
    /// A session with a hub that has just been reached.
    pub fn new(who: Arc<Identity>, credentials: Credentials, tls: Tls) -> Self {
        let (hub, interest) = (HubInfo::default(), HashMap::new());
        Self { who, credentials, tls, phase: Phase::AwaitsInfo, hub, interest }
    }

    /// How much is subscribed to there.
    pub fn interest(&self) -> usize {
        self.interest.len()
    }

    /// Turns an operation into actions.
    pub fn handle(&mut self, operation: Operation, actions: &mut Vec<Action>) {
        match operation {
            Operation::Info(json) => self.info(&json, actions),
            Operation::Ping => actions.push(Action::Send(b"PONG\r\n".to_vec())),
            Operation::Pong => actions.push(Action::Confirmed),
            Operation::Publish(block) => actions.push(Action::Publish(block)),
            Operation::Interest { subject, group, begins: true } => {
                self.enter(subject, group, actions)
            }
            Operation::Interest { subject, group, begins: false } => {
                let id = self.interest.remove(&(subject, group)).flatten();
                actions.extend(id.map(Action::Leave));
            }
            Operation::Error(text) => self.error(&text, actions),
            // A client's words, which the parser of a hub does not know.
            Operation::Ok
            | Operation::Connect(_)
            | Operation::Subscribe { .. }
            | Operation::Unsubscribe { .. } => {}
        }
    }

    /// Turns a mistake of the hub's into actions.
    pub fn mistake(&self, error: ProtocolError, actions: &mut Vec<Action>) {
        actions.push(Action::End(End::of("protocol error").in_words(error)));
    }

    /// Notes the id of the subscription that [`Action::Enter`] asked for.
    pub fn entered(&mut self, key: (Bytes, Option<Bytes>), id: SubscriptionId) {
        self.interest.insert(key, Some(id));
    }

    fn info(&mut self, json: &[u8], actions: &mut Vec<Action>) {
        let Some(info) = HubInfo::parse(json) else {
            return actions.push(Action::End(End::of("not a hub")));
        };
        match self.phase {
            Phase::AwaitsInfo if !info.is_of_a_leafnode_port() => {
                actions.push(Action::End(End::of("not a hub")));
            }
            Phase::AwaitsInfo if info.tls_required && self.tls == Tls::Off => {
                actions.push(Action::End(End::of("TLS required")));
            }
            Phase::AwaitsInfo if !info.tls_required && self.tls == Tls::AfterInfo => {
                actions.push(Action::End(End::of("no TLS")));
            }
            Phase::AwaitsInfo => {
                if self.tls == Tls::AfterInfo {
                    actions.push(Action::Encrypt);
                }
                let mut connect = Vec::new();
                let who = (self.who.name.as_str(), self.who.server_id.as_str());
                append_connect(&mut connect, who, &self.credentials, &info.nonce);
                actions.push(Action::Send(connect));
                self.phase = Phase::AwaitsAccount;
                // A hub older than 2.2.2 does not answer `CONNECT`.
                if !info.info_on_connect {
                    self.join(info.clone(), actions);
                }
                actions.extend(info.leafnode_urls.clone().map(Action::Hubs));
                self.hub = info;
            }
            Phase::AwaitsAccount if info.connect_info => {
                actions.extend(info.leafnode_urls.clone().map(Action::Hubs));
                self.join(info, actions);
            }
            Phase::AwaitsAccount => {}
            Phase::Joined => {
                // The permissions have changed, so the terms must be agreed again.
                let is_new = (&info.import, &info.export) != (&self.hub.import, &self.hub.export);
                if info.connect_info && is_new {
                    return actions.push(Action::End(End::of("permissions changed")));
                }
                actions.extend(info.leafnode_urls.map(Action::Hubs));
            }
        }
    }

    fn join(&mut self, info: HubInfo, actions: &mut Vec<Action>) {
        self.phase = Phase::Joined;
        let (import, export) = (info.import.clone(), info.export.clone());
        let (import, export) = (import.unwrap_or_default(), export.unwrap_or_default());
        actions.push(Action::Joined(Box::new(Terms {
            hub: info.name().to_owned(),
            version: info.version.clone(),
            account: info.remote_account.clone(),
            with_headers: info.headers,
            max_payload_bytes: info.max_payload,
            takes_over: info.takes_over(),
            has_streams: info.jetstream && info.domain.is_empty(),
            may_import: import.allowed(),
            must_not_import: import.denied(),
            may_export: export.allowed().map(with_answers),
            must_not_export: export.denied(),
        })));
        // Announced before all other interest. If there is a loop, it comes back to us.
        let subject = &self.who.loop_subject;
        actions.push(Action::Send(format!("LS+ {subject}\r\n").into_bytes()));
        self.hub = info;
    }

    fn enter(&mut self, subject: Bytes, group: Option<Bytes>, actions: &mut Vec<Action>) {
        if subject == self.who.loop_subject.as_bytes() {
            let text = "-ERR 'Loop detected for leafnode account=\"$G\". Delaying attempt to \
                        reconnect for 30s'\r\n";
            actions.push(Action::Send(text.into()));
            return actions.push(Action::End(End::after("loop", CLUSTER_LOOP_DELAY_MS)));
        }
        // A pattern that is longer or deeper than any topic here matches none.
        let pattern = subject::pattern_text(&subject).and_then(|text| Pattern::parse(text).ok());
        let Some(pattern) = pattern.filter(|_| !subject.starts_with(b"$LDS.")) else { return };
        let is_new = !self.interest.contains_key(&(subject.clone(), group.clone()));
        if is_new && self.interest.len() < CLUSTER_INTEREST_MAX {
            let name = group.as_ref().map(|name| subject::group_name(name));
            let key = (subject, group);
            self.interest.insert(key.clone(), None);
            actions.push(Action::Enter { key, pattern, group: name });
        }
    }

    fn error(&self, text: &[u8], actions: &mut Vec<Action>) {
        let text = String::from_utf8_lossy(text);
        let text = text.trim().trim_matches('\'');
        match ERRORS.iter().find(|(begin, _)| text.starts_with(begin)) {
            Some((_, end)) => actions.push(Action::End(end.clone().in_words(text))),
            // Others do not end the connection.
            None => log::warn!("{}: hub {} says: {text}", self.who.title, self.hub.name()),
        }
    }
}

/// Adds the answers to requests, which a leaf node may always publish.
fn with_answers(mut allowed: Vec<Pattern>) -> Vec<Pattern> {
    let exempt = ["_R_.>", "_GR_.>", "$JS.ACK.>"];
    allowed.extend(exempt.iter().filter_map(|text| Pattern::parse(text).ok()));
    allowed
}

impl Terms {
    /// Whether we may ask the hub for this pattern. A pattern with wildcards may be wider than what
    /// is allowed: the hub then sends only what is.
    pub fn may_ask_for(&self, pattern: &Pattern) -> bool {
        let fits = |rule: &Pattern| subject::covers(rule, pattern);
        !pattern.is_literal()
            || self.may_import.as_ref().is_none_or(|allow| allow.iter().any(fits))
                && !self.must_not_import.iter().any(fits)
    }
}

/// The topics that our own settings let pass in one direction.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    only: Option<Vec<Pattern>>,
    home: Vec<Pattern>,
    shared: Vec<Pattern>,
}

impl Passage {
    /// The topics that may come in.
    pub fn inwards(settings: &ClusterSettings) -> Self {
        let (only, shared) = (settings.imports.clone(), settings.shared.clone());
        Self { only, home: ClusterSettings::home(), shared }
    }

    /// Whether messages of this topic may pass.
    pub fn lets_through(&self, topic: &fanfare::Topic) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(topic));
        self.only.as_deref().is_none_or(matches) && (!matches(&self.home) || matches(&self.shared))
    }

    /// Whether nothing that this pattern matches may pass.
    pub fn stops_all_of(&self, pattern: &Pattern) -> bool {
        let is_home = self.home.iter().any(|home| subject::covers(home, pattern));
        let overlaps = |others: &[Pattern]| others.iter().any(|it| subject::overlap(it, pattern));
        (is_home && !overlaps(&self.shared)) || self.only.as_deref().is_some_and(|it| !overlaps(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::nats::{Parser, ParserLimits};
    use bytes::BytesMut;
    use fanfare::Topic;

    const INFO: &str = r#"INFO {"server_id":"N","server_name":"h","version":"2.12.8","client_id":7,
        "headers":true,"max_payload":100,"info_on_connect":true,"leafnode_urls":["a:1"]} "#;
    const ACCOUNT: &str = r#"INFO {"server_id":"N","server_name":"h","version":"2.12.8",
        "headers":true,"connect_info":true,"remote_account":"ACC","max_payload":100} "#;

    fn session() -> Session {
        session_with(Tls::Off)
    }

    fn session_with(tls: Tls) -> Session {
        let who = Identity {
            title: "cluster",
            name: "me".into(),
            server_id: "id".into(),
            loop_subject: "$LDS.mine".into(),
        };
        Session::new(Arc::new(who), Credentials::default(), tls)
    }

    /// The actions that some lines cause, in short.
    fn says(session: &mut Session, lines: &[&str]) -> Vec<String> {
        let mut parser = Parser::of_hub(ParserLimits::default());
        let lines: Vec<String> = lines.iter().map(|line| line.replace('\n', "")).collect();
        let mut buffer = BytesMut::from(format!("{}\r\n", lines.join("\r\n")).as_bytes());
        let mut said = Vec::new();
        while let Some(operation) = parser.next(&mut buffer).unwrap() {
            let mut actions = Vec::new();
            session.handle(operation, &mut actions);
            said.extend(actions.into_iter().map(|action| match action {
                Action::Send(bytes) => {
                    let text = String::from_utf8(bytes).unwrap();
                    text.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
                }
                Action::Joined(terms) => format!("joined {} {}", terms.hub, terms.account),
                Action::Enter { pattern, group, .. } => format!("enter {pattern} {group:?}"),
                Action::End(End { reason, delay, .. }) => {
                    format!("end {reason} {}", delay.map_or(0, |delay| delay.as_secs()))
                }
                Action::Hubs(hubs) => format!("hubs {}", hubs.join(",")),
                Action::Publish(block) => format!("publish {}", block.len()),
                other => format!("{other:?}"),
            }));
        }
        said
    }

    fn joined() -> Session {
        let mut session = session();
        says(&mut session, &[INFO, ACCOUNT]);
        assert_eq!(session.phase, Phase::Joined);
        session
    }

    #[test]
    fn nothing_is_said_before_connect_and_interest_waits_for_the_account() {
        let mut session = session();
        let said = says(&mut session, &[INFO]);
        assert!(said[0].starts_with("CONNECT {") && said[1..] == ["hubs a:1"], "{said:?}");
        assert_eq!(session.phase, Phase::AwaitsAccount);
        assert_eq!(says(&mut session, &[ACCOUNT]), ["joined h ACC", "LS+ $LDS.mine"]);
    }

    #[test]
    fn a_port_for_clients_is_no_hub_and_both_sides_want_tls_or_neither() {
        assert_eq!(says(&mut session(), &["INFO {\"client_id\":1}"]), ["end not a hub 0"]);
        assert_eq!(says(&mut session(), &["INFO what"]), ["end not a hub 0"]);
        let tls = INFO.replace("\"headers\"", "\"tls_required\":true,\"headers\"");
        assert_eq!(says(&mut session(), &[&tls]), ["end TLS required 0"]);
        assert_eq!(says(&mut session_with(Tls::AfterInfo), &[INFO]), ["end no TLS 0"]);
        let said = says(&mut session_with(Tls::AfterInfo), &[&tls]);
        assert!(said[0] == "Encrypt" && said[1].starts_with("CONNECT {"), "{said:?}");
        assert!(says(&mut session_with(Tls::On), &[&tls])[0].starts_with("CONNECT {"));
    }

    #[test]
    fn interest_is_entered_once_and_leaves_by_the_same_words() {
        let mut session = joined();
        let lines = ["LS+ a.*", "LS+ a.*", "LS+ w q 1", "LS+ w q 3", "LS- unknown", "LS- w q"];
        assert_eq!(says(&mut session, &lines), ["enter a.* None", "enter w Some(\"q\")"]);
        assert_eq!(session.interest(), 1);
        let deep = format!("LS+ {}", ["a"; 40].join("."));
        assert!(says(&mut session, &["LS+ $LDS.other", &deep]).is_empty());
    }

    #[test]
    fn our_own_loop_subject_ends_it_for_thirty_seconds() {
        assert_eq!(says(&mut joined(), &["LS+ $LDS.mine"]), ["-ERR 'Loop", "end loop 30"]);
    }

    #[test]
    fn errors_end_it_for_as_long_as_they_mean() {
        for (text, expected) in [
            ("Authorization Violation", "end not authorized 0"),
            (
                "connection rejected since minimum version required is \"2.10\"",
                "end version too old 5",
            ),
            ("Duplicate Remote LeafNode Connection", "end name used twice 60"),
            ("remote leafnode has same cluster name", "end name of the cluster 30"),
            ("Permissions Violation for Publish to \"x\"", "end permissions violation 0"),
        ] {
            assert_eq!(says(&mut joined(), &[&format!("-ERR '{text}'")]), [expected]);
        }
        assert!(says(&mut joined(), &["-ERR 'Invalid Subscription'"]).is_empty());
    }

    #[test]
    fn changed_permissions_end_the_link_and_other_hubs_are_remembered() {
        let hubs = INFO.replace("a:1", "b:2");
        assert_eq!(says(&mut joined(), &[&hubs]), ["hubs b:2"]);
        let rules = ACCOUNT.replace("\"headers\"", "\"export\":{\"deny\":[\"x\"]},\"headers\"");
        assert_eq!(says(&mut joined(), &[&rules]), ["end permissions changed 0"]);
        assert!(says(&mut joined(), &[ACCOUNT]).is_empty());
    }

    #[test]
    fn literals_outside_what_may_be_imported_are_not_asked_for() {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let terms = Terms {
            may_import: Some(vec![pattern("a.>"), pattern("_INBOX.>")]),
            must_not_import: vec![pattern("a.no")],
            ..Terms::default()
        };
        for (text, may) in
            [("a.b", true), ("a.no", false), ("b", false), (">", true), ("b.*", true)]
        {
            assert_eq!(terms.may_ask_for(&pattern(text)), may, "{text}");
        }
        assert!(Terms::default().may_ask_for(&pattern("b")));
    }

    #[test]
    fn home_subjects_stay_at_home_unless_they_are_shared() {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let settings = ClusterSettings {
            shared: vec![pattern("chat.room.lobby")],
            imports: Some(vec![pattern("a.>"), pattern("chat.>")]),
            ..ClusterSettings::default()
        };
        let inwards = Passage::inwards(&settings);
        for (text, passes) in
            [("a.b", true), ("b", false), ("chat.room.lobby", true), ("chat.room.other", false)]
        {
            assert_eq!(inwards.lets_through(&Topic::parse(text).unwrap()), passes, "{text}");
        }
        for (text, stops) in [
            (">", false),
            ("a.*", false),
            ("b.*", true),
            ("push.all", true),
            ("chat.>", false),
            ("chat.user.x", true),
        ] {
            assert_eq!(inwards.stops_all_of(&pattern(text)), stops, "{text}");
        }
    }
}
