//! What tools read of a server, field by field beside the newest nats-server.

use crate::FANFARE;
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use testkit::directory::TempDirectory;
use testkit::http::{get, page};
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::wire::Wire;
use testkit::process::Program;
use testkit::tools::nats_server_of;

/// What nats-server says of what Fanfare has not, or has in another form.
const NOT_SAID: [&str; 14] = [
    "git_commit",
    "gomaxprocs",
    "http_host",
    "http_port",
    "http_base_path",
    "https_port",
    "http_req_stats",
    "config_digest",
    "feature_flags",
    "stalled_clients",
    "slow_consumer_stats",
    "stale_connection_stats",
    "disk_io_wait_stats",
    // Of a subscription.
    "msgs",
];

/// Both servers after the same client has done the same, and where they tell of it.
struct Watched {
    _clients: [Wire; 2],
    monitoring: [SocketAddr; 2],
    _servers: (Hub, Program),
}

impl Watched {
    fn start() -> Option<Self> {
        Self::with(&HubSettings::default(), &[], "")
    }

    /// With a client that is user `a` of account `A`.
    fn with_accounts() -> Option<Self> {
        let folder = TempDirectory::new();
        let file = folder.path().join("users.toml");
        let user = |name: &str, account: &str| {
            let (of_nats, of_fanfare) = ("user: {}, password: p", "[[user]]\nname = ");
            let of_nats = of_nats.replace("{}", name);
            (
                format!("{account}: {{users: [{{{of_nats}}}]}}"),
                format!("{of_fanfare}{name:?}\npassword = \"p\"\naccount = {account:?}\n"),
            )
        };
        let [(a_there, a_here), (b_there, b_here)] = [user("a", "A"), user("b", "B")];
        std::fs::write(&file, a_here + &b_here).unwrap();
        let lines = format!("accounts: {{\n{a_there}\n{b_there}\n}}");
        let hub = HubSettings { lines, ..HubSettings::default() };
        let flags = ["--nats-users-file", file.to_str().unwrap()];
        Self::with(&hub, &flags, r#","user":"a","pass":"p""#)
    }

    fn with(hub: &HubSettings, flags: &[&str], options: &str) -> Option<Self> {
        let program = nats_server_of("2.15")?;
        let hub = Hub::start(&program, hub);
        let (fanfare, nats, admin) = fanfare(flags);
        let clients = [hub.address, nats].map(|address| busy_client(address, options));
        Some(Self {
            _clients: clients,
            monitoring: [hub.monitoring, admin],
            _servers: (hub, fanfare),
        })
    }

    /// The page of nats-server and that of Fanfare.
    fn pages(&self, path: &str) -> [Value; 2] {
        self.monitoring.map(|address| page(address, path))
    }
}

/// A server, and where it listens for clients and for tools.
fn fanfare(flags: &[&str]) -> (Program, SocketAddr, SocketAddr) {
    let mut command = Command::new(FANFARE);
    command.args(
        ["--chat", "--push", "--push-udp", "--push-http"]
            .iter()
            .flat_map(|listener| [*listener, "off"]),
    );
    command.args(flags).args(["--nats", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log", "warn"]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let mut listening = |listener: &str| {
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix(&format!("listening {listener} ")).unwrap();
        address.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    };
    let (nats, admin) = (listening("nats"), listening("admin"));
    (program, nats, admin)
}

/// One that has subscribed twice, and published what it gets itself.
fn busy_client(address: SocketAddr, options: &str) -> Wire {
    let mut wire = Wire::connect(address);
    let own = r#""verbose":false,"headers":true,"name":"me","lang":"x","version":"1.2""#;
    wire.say(&format!("CONNECT {{{own}{options}}}"));
    let headers = "NATS/1.0\r\nA: b\r\n\r\n";
    let (header_bytes, bytes) = (headers.len(), headers.len() + 2);
    wire.send(format!(
        "SUB a.* 1\r\nSUB b g 2\r\nPUB a.b 3\r\nxyz\r\n\
         HPUB a.c {header_bytes} {bytes}\r\n{headers}hi\r\nPUB nobody 5\r\nhello\r\n"
    ));
    wire.expect("MSG a.b 1 3\r\nxyz\r\n");
    wire.expect(format!("HMSG a.c 1 {header_bytes} {bytes}\r\n{headers}hi\r\n"));
    wire.sync();
    wire
}

/// All that nats-server says is said, in values of the same kind.
#[track_caller]
fn same_fields(what: &str, [theirs, ours]: [&Value; 2]) {
    let [theirs, ours]: [&Map<String, Value>; 2] =
        [theirs, ours].map(|value| value.as_object().unwrap());
    for (name, value) in theirs.iter().filter(|(name, _)| !NOT_SAID.contains(&name.as_str())) {
        let our = ours.get(name).unwrap_or_else(|| panic!("{what} has no {name}: {ours:?}"));
        let same_kind = std::mem::discriminant(value) == std::mem::discriminant(our);
        assert!(same_kind, "{what}, {name}: {value} there, {our} here");
    }
}

#[track_caller]
fn same_value(name: &str, theirs: &Value, ours: &Value) {
    let [theirs, ours] = [&theirs[name], &ours[name]];
    // 2 is 2.0.
    let is_same = theirs == ours || theirs.is_number() && theirs.as_f64() == ours.as_f64();
    assert!(is_same, "{name}: {theirs} there, {ours} here");
}

#[test]
fn a_server_at_a_glance_is_told_in_the_same_fields() {
    let Some(watched) = Watched::start() else { return };
    let [theirs, ours] = watched.pages("/varz");
    same_fields("/varz", [&theirs, &ours]);
    for name in [
        "version",
        "proto",
        "ping_interval",
        "ping_max",
        "auth_timeout",
        "max_control_line",
        "max_payload",
        "max_pending",
        "write_deadline",
        "tls_timeout",
        "connections",
        "total_connections",
        "routes",
        "remotes",
        "leafnodes",
        "in_msgs",
        "out_msgs",
        "in_bytes",
        "out_bytes",
        "in_client_msgs",
        "out_client_bytes",
        "cores",
        "slow_consumers",
        "stale_connections",
    ] {
        same_value(name, &theirs, &ours);
    }
    for path in ["/healthz", "/routez", "/gatewayz", "/jsz", "/leafz", "/accountz"] {
        let [mut theirs, ours] = watched.pages(path);
        if path == "/jsz" {
            // What its cluster, its API and its settings would have; there is none.
            let nothing = ["reserved_memory", "reserved_storage", "accounts", "ha_assets"];
            let nothing = nothing.into_iter().chain(["api", "config", "total"]);
            nothing.for_each(|name| drop(theirs.as_object_mut().unwrap().remove(name)));
        }
        same_fields(path, [&theirs, &ours]);
    }
}

#[test]
fn a_connection_is_told_in_the_same_fields() {
    let Some(watched) = Watched::start() else { return };
    for query in ["", "?subs=1", "?subs=detail", "?state=open", "?state=OPEN&sort=rtt"] {
        let [theirs, ours] = watched.pages(&format!("/connz{query}"));
        same_fields("/connz", [&theirs, &ours]);
        assert_eq!((&ours["num_connections"], &ours["total"]), (&1.into(), &1.into()));
        let [theirs, ours] = [&theirs, &ours].map(|page| &page["connections"][0]);
        same_fields("a connection", [theirs, ours]);
        for name in [
            "kind",
            "type",
            "ip",
            "pending_bytes",
            "in_msgs",
            "out_msgs",
            "in_bytes",
            "out_bytes",
            "subscriptions",
            "name",
            "lang",
            "version",
        ] {
            same_value(name, theirs, ours);
        }
        assert_eq!(sorted(&theirs["subscriptions_list"]), sorted(&ours["subscriptions_list"]));
        let detail = [theirs, ours].map(|row| without_own(&row["subscriptions_list_detail"]));
        assert_eq!(detail[0], detail[1]);
        assert_eq!(detail[0].len(), if query == "?subs=detail" { 2 } else { 0 });
    }
}

#[test]
fn subscriptions_are_told_in_the_same_fields() {
    let Some(watched) = Watched::start() else { return };
    let [theirs, ours] = watched.pages("/subsz?subs=1&acc=$G");
    let of_clients = |page: &Value| {
        let mut list = page["subscriptions_list"].clone();
        list.as_array_mut().unwrap().retain(|row| {
            row["account"] == "$G" && !row["subject"].as_str().unwrap().starts_with("$SYS")
        });
        without_own(&list)
    };
    assert_eq!(of_clients(&theirs), of_clients(&ours));
    assert_eq!(ours["total"], 2);
    for (subject, count) in [("a.b", 1), ("b", 1), ("a", 0), ("a.b.c", 0)] {
        for page in watched.pages(&format!("/subscriptionsz?subs=1&acc=$G&test={subject}")) {
            let rows = page["subscriptions_list"].as_array().map_or(0, Vec::len);
            assert_eq!((rows, &page["total"]), (count, &count.into()), "{subject}: {page}");
        }
    }
    for wrong in ["/subsz?subs=1&test=a.*", "/connz?state=gone", "/connz?sort=gone"] {
        assert_eq!(watched.monitoring.map(|address| get(address, wrong).status), [400, 400]);
    }
    let [_, second] = watched.pages("/subsz?subs=1&offset=1&limit=1");
    assert_eq!(second["subscriptions_list"][0]["subject"], "b");
}

#[test]
fn pages_can_be_limited_to_an_account() {
    let Some(watched) = Watched::with_accounts() else { return };
    for accounts in watched.pages("/accountz").map(|page| page["accounts"].clone()) {
        let has = |name: &str| accounts.as_array().unwrap().contains(&name.into());
        assert!(["$G", "$SYS", "A", "B"].into_iter().all(has), "{accounts}");
    }
    let [mut theirs, ours] =
        watched.pages("/accountz?acc=A").map(|page| page["account_detail"].clone());
    // What is imported, when, and what its cache is good for.
    for name in ["imports", "update_time", "sublist_stats"] {
        theirs.as_object_mut().unwrap().remove(name).unwrap();
    }
    same_fields("an account", [&theirs, &ours]);
    ["account_name", "client_connections"].iter().for_each(|it| same_value(it, &theirs, &ours));
    for address in watched.monitoring {
        let nobody = get(address, "/accountz?acc=nope");
        assert_eq!((nobody.status, &nobody.body[..]), (400, &b"Account nope does not exist"[..]));
    }
    let [theirs, ours] = watched.pages("/connz?acc=A&auth=1");
    ["num_connections", "total"].iter().for_each(|name| same_value(name, &theirs, &ours));
    let [theirs, ours] = [&theirs, &ours].map(|page| &page["connections"][0]);
    ["account", "authorized_user"].iter().for_each(|name| same_value(name, theirs, ours));
    assert!(watched.pages("/connz?acc=B").iter().all(|page| page["total"] == 0));
    let of_clients = |page: Value| {
        let mut list = page["subscriptions_list"].clone();
        let is_own = |row: &Value| !row["subject"].as_str().unwrap().starts_with("$SYS");
        list.as_array_mut().unwrap().retain(is_own);
        without_own(&list)
    };
    let [theirs, ours] = watched.pages("/subsz?subs=1&acc=A").map(of_clients);
    assert_eq!((&theirs, theirs.len()), (&ours, 2));
    assert_eq!(watched.pages("/subsz?subs=1&acc=B")[1]["total"], 0);
}

fn sorted(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    let mut texts: Vec<String> = texts.map(ToString::to_string).collect();
    texts.sort();
    texts
}

/// Rows without what only one server can say: the number of the connection, and of messages.
fn without_own(list: &Value) -> Vec<String> {
    let mut list = list.clone();
    for row in list.as_array_mut().into_iter().flatten() {
        let row = row.as_object_mut().unwrap();
        assert!(row.remove("cid").unwrap().is_u64());
        row.remove("msgs");
    }
    sorted(&list)
}
