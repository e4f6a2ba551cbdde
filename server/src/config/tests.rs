//! The settings, from flags, environment and files.

use super::file::mistaken_variables;
use super::table::{Setting, all_settings};
use super::*;
use crate::nats::SlowConsumer;
use std::collections::HashSet;

fn understand(arguments: &[&str]) -> Result<Task, ConfigError> {
    from_command_line(std::iter::once("fanfare").chain(arguments.iter().copied()).map(Into::into))
}

fn config(arguments: &[&str]) -> Result<Config, String> {
    match understand(arguments).map_err(|error| error.to_string())? {
        Task::Serve(config, _) => Ok(*config),
        other => panic!("{other:?}"),
    }
}

fn printed(arguments: &[&str]) -> String {
    match understand(arguments) {
        Ok(Task::Print(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn file(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("fanfare-{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn serve_is_what_happens_without_a_command() {
    let plain = config(&[]).unwrap();
    assert_eq!(plain.chat_address, Some(chat::DEFAULT_ADDRESS.parse().unwrap()));
    assert_eq!(plain.chat, ChatSettings::default());
    assert_eq!(plain, config(&["serve"]).unwrap());
    let moved = config(&["--chat", "127.0.0.1:0"]).unwrap();
    assert_eq!(moved, config(&["serve", "--chat=127.0.0.1:0"]).unwrap());
    assert_eq!(moved.chat_address.unwrap().port(), 0);
}

#[test]
fn flags_win_over_the_file() {
    let path = file("wins", "chat-line-bytes = 100\nchat-rooms = 7\nlog = \"debug\"\n");
    for command in [[].as_slice(), &["serve"]] {
        let arguments = [command, &["--config", &path, "--chat-rooms", "8"]].concat();
        let config = config(&arguments).unwrap();
        assert_eq!((config.chat.line_bytes, config.chat.directory.rooms), (100, 8));
        assert_eq!(config.log, LevelFilter::Debug);
    }
}

#[test]
fn a_mistake_is_one_sentence_that_names_the_flag() {
    let mistakes: [(&[&str], &str); 12] = [
        (&["--nosuch"], "--nosuch"),
        (&["--chat"], "--chat"),
        (&["--chat", "nonsense"], "--chat nonsense"),
        (&["--chat", "127.0.0.1:99999"], "--chat 127.0.0.1:99999"),
        (
            &["--chat=off", "--nats=off", "--push=off", "--push-udp=off", "--push-http=off"],
            "--chat off",
        ),
        (&["--chat-rooms", "0"], "--chat-rooms 0"),
        (&["--chat-rooms", "many"], "--chat-rooms"),
        (&["--log", "loud"], "--log loud"),
        (&["--admin", "0.0.0.0:6060"], "--admin 0.0.0.0:6060"),
        (&["--admin", "[::]:6060"], "--admin [::]:6060"),
        (&["--admin-token", "two words"], "--admin-token"),
        (&["--chat-queue-bytes", "99"], "--chat-queue-bytes 99"),
    ];
    for (arguments, named) in mistakes {
        let error = config(arguments).unwrap_err();
        assert!(error.contains(named) && error.lines().count() == 1, "{arguments:?}: {error}");
    }
}

#[test]
fn the_admin_listener_is_for_this_machine_unless_there_is_a_token() {
    let plain = config(&[]).unwrap().admin;
    assert_eq!(
        (plain.address, plain.is_asked_for),
        (Some("127.0.0.1:6060".parse().unwrap()), false)
    );
    assert_eq!(config(&["--admin", "off"]).unwrap().admin.address, None);
    assert!(config(&["--admin", "[::1]:1"]).unwrap().admin.is_asked_for);
    let open = config(&["--admin", "0.0.0.0:6060", "--admin-token", "secret"]).unwrap().admin;
    assert_eq!(open.token.as_deref(), Some("secret"));
}

#[test]
fn a_mistake_in_the_file_names_the_line() {
    let mistakes = [
        ("unknown", "[chat]\nnosuch = 1\n", "line 2: nosuch is not a setting"),
        ("meant", "[chat]\nroms = 1\n", "line 2: roms is not a setting; did you mean rooms?"),
        ("flat", "chat-romms = 1\n", "did you mean rooms in [chat]?"),
        ("twice", "chat-rooms = 5\n[chat]\nrooms = 5\n", "line 3: chat-rooms is set twice"),
        ("type", "[chat]\nrooms = 5\nline-bytes = \"x\"\n", "line 3: chat.line-bytes = x"),
        ("action", "print-bounds = true\n", "line 1: print-bounds is not a setting"),
        ("list", "chat-rooms = [5]\n", "line 1: chat-rooms must be a text"),
        ("fits", "\nchat-queue-bytes = 99\n", "line 2: chat-queue-bytes = 99 is too small"),
        ("range", "# bounds\nchat-rooms = 0\n", "line 2: chat-rooms = 0 is out of range"),
        ("syntax", "chat-rooms 5\n", "line 1"),
    ];
    for (name, text, expected) in mistakes {
        let error = config(&["--config", &file(name, text)]).unwrap_err();
        assert!(
            error.contains(expected) && error.contains(name) && error.lines().count() == 1,
            "{error}"
        );
    }
    let error = config(&["--config", "/nonexistent/x.toml"]).unwrap_err();
    assert!(error.starts_with("--config /nonexistent/x.toml cannot be read"), "{error}");
}

#[test]
fn bounds_follow_the_settings() {
    let bound = |arguments: &[&str], name: &str| -> f64 {
        let text = printed(arguments);
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name} in {text}"));
        line.split_whitespace().nth(1).and_then(|mib| mib.parse().ok()).unwrap()
    };
    let all: Vec<f64> = ["chat ", "nats ", "push ", "push-udp ", "push-http ", "history ", "all "]
        .map(|name| bound(&["--print-bounds"], name))
        .to_vec();
    assert!((all[..6].iter().sum::<f64>() - all[6]).abs() < 1.0, "{all:?}");
    assert_eq!(bound(&["--print-bounds", "--memory", "512MiB"], "budget "), 512.0);
    let halved = bound(&["--print-bounds", "--push-connections", "5000"], "push ");
    assert!((halved * 2.0 - all[2]).abs() < 1.0, "{halved} {all:?}");
    assert!(bound(&["--print-bounds", "--push-queue-bytes", "1048576"], "push ") > all[2]);
    let text = printed(&["--print-bounds", "--chat-connections", "10"]);
    let subscriptions = text.split_once("Subscriptions").unwrap().1;
    for expected in ["chat 210", "nats 1058576", "push 350000", "push-http 350000"] {
        let words: Vec<_> = expected.split(' ').collect();
        let is_it = |line: &str| line.split_whitespace().eq(words.iter().copied());
        assert!(subscriptions.lines().any(is_it), "{expected} in {text}");
    }
    let with_socket = ["--print-bounds", "--nats-websocket", "127.0.0.1:0"];
    let web_sockets = bound(&with_socket, "nats-websocket ");
    assert!((bound(&with_socket, "all ") - all[6] - web_sockets).abs() < 1.0, "{web_sockets}");
    // A WebSocket is a client as any other, and HTTP's besides.
    let large = ["--print-bounds", "--push-queue-bytes", "10485760"];
    assert!(bound(&large, "push-http ") > bound(&large, "push "));
}

#[test]
fn one_pair_of_files_is_for_every_front_end_that_has_none_of_its_own() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/tls");
    let [cert, key, other] =
        ["cert", "key", "authority-cert"].map(|which| format!("{tls}/{which}.pem"));
    let with_tls = |arguments: &[&str]| -> Vec<&str> {
        let all = [&["--tls-cert", &cert, "--tls-key", &key], arguments].concat();
        let config = config(&all).unwrap();
        let front_ends = config.identities().into_iter();
        front_ends
            .filter(|(_, identity)| identity.is_some())
            .map(|(front_end, _)| front_end)
            .collect()
    };
    assert_eq!(with_tls(&[]), ["chat", "nats", "push", "push-http", "admin"]);
    let off = ["--nats-tls-cert", "off", "--admin-tls-cert=off"];
    assert_eq!(with_tls(&off), ["chat", "push", "push-http"]);
    let socket = ["--nats-websocket=127.0.0.1:0"];
    assert!(with_tls(&socket).contains(&"nats-websocket"));
    let of_socket = |arguments: &[&str]| -> Vec<&str> {
        let of_nats = |name: &&str| name.starts_with("nats");
        with_tls(&[&socket, arguments].concat()).into_iter().filter(of_nats).collect()
    };
    assert_eq!(of_socket(&["--nats-websocket-tls-cert", "off"]), ["nats"]);
    assert_eq!(of_socket(&["--nats-tls-cert", "off"]), [""; 0]);
    let own = ["--nats-websocket-tls-cert", &cert, "--nats-websocket-tls-key", &key];
    assert_eq!(of_socket(&[&off[..2], &own].concat()), ["nats-websocket"]);
    for (arguments, expected) in [
        (["--tls-cert", &cert].as_slice(), "needs tls-key"),
        (&["--nats-websocket-tls-ca", &cert, socket[0]], "needs nats-websocket-tls-cert"),
        (&["--push-tls-key", &key], "needs push-tls-cert"),
        (&["--tls-cert", &cert, "--tls-key", &cert], "there is no key in it"),
        (&["--tls-cert", &key, "--tls-key", &key], "there is no certificate in it"),
        (&["--tls-cert", &other, "--tls-key", &key], "does not belong to the key"),
    ] {
        let error = config(arguments).unwrap_err();
        assert!(error.starts_with(arguments[0]) || error.starts_with("--tls-key"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let proxies = |text| config(&["--trusted-proxies", text]).map(|config| config.proxies);
    let some = proxies("10.0.0.0/8, 192.0.2.1,2001:db8::/32").unwrap();
    let contains = |address: &str| some.contains(address.parse().unwrap());
    assert!(["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8::7"].into_iter().all(contains));
    assert!(!["11.0.0.1", "192.0.2.2", "2001:db9::7", "::1"].into_iter().any(contains));
    let error = proxies("10.0.0.0/8,example.org").unwrap_err();
    assert!(error.contains("names example.org, which is neither an address"), "{error}");
}

#[test]
fn keys_and_tokens_are_read_and_mistakes_in_them_named() {
    let keys = file("keys", "[[key]]\nid = \"shop\"\nsecret = \"0123456789abcdef\"\n");
    assert!(config(&["--push-keys-file", &keys]).unwrap().push.access.key("shop").is_some());
    let short = file("short", "[[key]]\nid = \"shop\"\nsecret = \"x\"\n");
    let wrong = file("wrong", "[[token]]\ntoken = \"t\"\nuser = 7\n");
    for (flag, path, expected) in [
        ("--push-udp-keys-file", short.as_str(), "shorter than 16 bytes"),
        ("--push-udp-keys-file", "/nonexistent", "cannot be read"),
        ("--push-tokens-file", &wrong, "line 3"),
        ("--push-udp-unsigned", "on", "neither loopback nor off"),
    ] {
        let error = config(&[flag, path]).unwrap_err();
        assert!(
            error.starts_with(flag) && error.contains(expected) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn every_setting_of_nats_arrives() {
    let plain = config(&[]).unwrap();
    assert_eq!(
        (plain.nats_address, plain.nats),
        ("127.0.0.1:4222".parse().ok(), NatsSettings::default())
    );
    let numbers = "--nats-max-payload 1 --nats-max-control-line 100 --nats-max-connections 3 \
        --nats-max-connections-per-address 4 --nats-max-subscriptions 5 \
        --nats-ping-interval-ms 6 --nats-ping-max 7 --nats-auth-timeout-ms 8 \
        --nats-max-pending-bytes 999 --nats-max-pending-messages 10 --nats-wait-ms 11 \
        --nats-write-deadline-ms 12 --lame-duck-duration-ms 13 \
        --lame-duck-grace-ms 14 --nats-slow-consumer drop --nats-server-name me \
        --nats-user u --nats-password p --nats-token t";
    let nats = config(&numbers.split_whitespace().collect::<Vec<_>>()).unwrap();
    let (LameDuck { grace, duration }, nats) = (nats.lame_duck, nats.nats);
    assert_eq!((nats.parser.payload_bytes, nats.parser.control_line_bytes), (1, 100));
    assert_eq!(
        (nats.connections.total, nats.connections.per_address, nats.subscriptions),
        (3, 4, 5)
    );
    assert_eq!((nats.pending_bytes, nats.pending_messages, nats.ping_max), (999, 10, 7));
    let times = [nats.ping_interval, nats.authentication_timeout, nats.wait, nats.write_deadline];
    assert_eq!(times.map(|time| time.as_millis()), [6, 8, 11, 12]);
    assert_eq!((duration.as_millis(), grace.as_millis()), (13, 14));
    assert_eq!((nats.slow_consumer, nats.server_name.as_str()), (SlowConsumer::Drop, "me"));
    assert_eq!((nats.authentication.users.len(), nats.authentication.token.is_some()), (1, true));
}

#[test]
fn no_front_end_lets_in_everybody_by_mistake() {
    let error = config(&["--chat", "0.0.0.0:0"]).unwrap_err();
    assert!(error.starts_with("--chat 0.0.0.0:0 lets in everybody"), "{error}");
    assert!(error.ends_with("set chat-allow-anonymous"), "{error}");
    assert!(config(&["--chat", "0.0.0.0:0", "--chat-allow-anonymous"]).is_ok());
    assert!(config(&["--chat", "[::1]:0"]).is_ok());
    let error = config(&["--nats", "0.0.0.0:0"]).unwrap_err();
    assert!(error.starts_with("--nats 0.0.0.0:0 lets in everybody"), "{error}");
    let reasons: [&[&str]; 3] = [
        &["--nats-allow-anonymous"],
        &["--nats-token", "t"],
        &["--nats-user", "u", "--nats-password", "p"],
    ];
    for reason in reasons {
        assert!(config(&[&["--nats", "0.0.0.0:0"], reason].concat()).is_ok(), "{reason:?}");
    }
    let error = config(&["--nats-websocket", "0.0.0.0:0"]).unwrap_err();
    assert!(error.starts_with("--nats-websocket 0.0.0.0:0 lets in everybody"), "{error}");
    let mistakes: [(&[&str], &str); 12] = [
        (&["--nats-user", "u", "--nats-password", ""], "--nats-password (secret) is empty"),
        (&["--nats-token", ""], "--nats-token (secret) is empty"),
        (&["--cluster-password", ""], "--cluster-password (secret) is empty"),
        (&["--chat-password", ""], "--chat-password (secret) is not a single word"),
        (&["--admin-token", ""], "--admin-token (secret) must be one or more"),
        (&["--nats-user", "u"], "--nats-user u needs"),
        (&["--nats-password", "p"], "--nats-password (secret) needs"),
        (&["--nats-tls-cert", "c"], "--nats-tls-cert c needs"),
        (&["--nats-tls-required"], "--nats-tls-required true needs"),
        (
            &["--nats-tls-cert", "/none", "--nats-tls-key", "/none"],
            "--nats-tls-cert /none cannot be used",
        ),
        (&["--nats-max-pending-bytes", "9"], "--nats-queue-bytes 9 is too small"),
        (&["--nats-slow-consumer", "wait"], "--nats-slow-consumer wait is neither"),
    ];
    for (arguments, named) in mistakes {
        let error = config(arguments).unwrap_err();
        assert!(error.starts_with(named) && error.lines().count() == 1, "{arguments:?}: {error}");
    }
}

#[test]
fn nats_users_come_from_a_file() {
    let path = file(
        "users",
        "[[user]]\nname = \"a\"\npassword = \"x\"\n\n[user.publish]\nallow = [\"a.>\"]\n\
         deny = [\"a.b\"]\n\n\
         [[user]]\nname = \"b\"\npassword = \"y\"\n\n[user.subscribe]\nallow = []\n",
    );
    let users = config(&["--nats-users-file", &path]).unwrap().nats.authentication.users;
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let publish = &users[0].grant.permissions.publish;
    assert!(
        publish.permit_topic(&"a.c".parse().unwrap())
            && !publish.permit_topic(&"a.b".parse().unwrap())
    );
    let of_b = &users[1].grant.permissions;
    assert!(of_b.publish.permit_topic(&"a.b".parse().unwrap()), "left out: everything");
    assert!(!of_b.subscribe.permit_topic(&"a.b".parse().unwrap()), "empty: nothing");
    for (name, text, expected) in [
        ("no-users", "", "names no user"),
        ("empty", "[[user]]\nname = \"a\"\npassword = \"\"\n", "user a: the password is empty"),
        ("no-password", "[[user]]\nname = \"a\"\n", "user a: the password is missing"),
        ("no-name", "[[user]]\npassword = \"x\"\n", "give a name and a password, or an nkey"),
        ("no-key", "[[user]]\nnkey = \"UX\"\n", "user UX: that is not a user's public NKEY"),
        (
            "pattern",
            "[[user]]\nname = \"a\"\npassword = \"x\"\npublish.allow = [\"a..b\"]\n",
            "user a: topic \"a..b\"",
        ),
        (
            "twice",
            "[[user]]\nname = \"a\"\npassword = \"x\"\n[[user]]\nname = \"a\"\n\
             password = \"x\"\n",
            "twice",
        ),
    ] {
        let error = config(&["--nats-users-file", &file(name, text)]).unwrap_err();
        assert!(error.starts_with("--nats-users-file") && error.contains(expected), "{error}");
    }
    let silent = file("silent", "[[user]]\nname = \"a\"\n");
    let given = config(&["--nats-users-file", &silent, "--nats-no-auth-user", "a"]).unwrap();
    assert!(given.nats.authentication.unauthenticated().is_some());
}

#[test]
fn a_secret_is_in_a_file_and_never_shown() {
    let secret = file("secret", "\n");
    let error = config(&["--nats-token-file", &secret]).unwrap_err();
    assert_eq!(error, format!("--nats-token-file {secret} is empty"));
    let secret = file("secret", "s3cret\n");
    let given = config(&["--nats-token-file", &secret]).unwrap();
    assert!(given.nats.authentication.is_required() && given.exposed_secrets.is_empty());
    let exposed = config(&["--nats-token", "s3cret"]).unwrap().exposed_secrets;
    assert_eq!(exposed, ["nats-token"]);
    let both = ["--nats-token-file", &secret, "--nats-token", "x"];
    let error = config(&both).unwrap_err();
    assert!(error.contains("and nats-token cannot both be set"), "{error}");
    for arguments in [&both[..2], &["--nats-token", "s3cret"]] {
        let printed = printed(&[&["--print-config"], arguments].concat());
        assert!(printed.contains("# token (secret)") && !printed.contains("s3cret"), "{printed}");
    }
}

#[test]
fn the_settings_in_force_are_printed_as_a_settings_file() {
    let settings = file("printed", "[chat]\nrooms = 7\n");
    let arguments = ["--config", &settings, "--nats-server-name", "a \"b\"", "--push-http=off"];
    let printed = printed(&[arguments.as_slice(), &["--print-config"]].concat());
    let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("rooms ").ends_with(".toml line 2"), "{printed}");
    assert!(line("server-name ").ends_with("# --nats-server-name"), "{printed}");
    assert!(line("line-bytes ").ends_with("# default"), "{printed}");
    let again = config(&["--config", &file("again", &printed)]).unwrap();
    let mut first = config(&arguments).unwrap();
    // Addresses that the file names count as asked for.
    first.admin.is_asked_for = true;
    assert_eq!(again, first);
}

#[test]
fn the_example_has_the_defaults() {
    let default = |setting: Setting| {
        Some(format!("{} = {}", setting.key, listing::toml_value(&setting.default()?)))
    };
    let defaults: HashSet<String> = all_settings().filter_map(default).collect();
    let example = listing::example();
    let lines = example.lines().map(|line| line.trim_start_matches('#'));
    let lines: Vec<_> =
        lines.filter(|line| line.starts_with('[') || defaults.contains(*line)).collect();
    assert!(lines.len() >= defaults.len(), "{example}");
    let text = lines.join("\n");
    let mut given = config(&["--config", &file("example", &text)]).unwrap();
    given.admin.is_asked_for = false;
    assert_eq!(given, config(&[]).unwrap());
}

#[test]
fn changes_that_need_a_restart_are_named_and_a_mistake_says_why() {
    let path = file("reloaded", "log = \"warn\"\n[chat]\nconnections = 5\nrooms = 7\n");
    let Ok(Task::Serve(_, source)) = understand(&["--config", &path]) else { panic!() };
    assert!(source.read_again().unwrap_or_else(|error| panic!("{error}")).need_restart.is_empty());
    file("reloaded", "log = \"info\"\n[chat]\nconnections = 6\nrooms = 8\n");
    let reread = source.read_again().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(reread.need_restart, ["chat-rooms"]);
    assert_eq!((reread.config.chat.connections.total, reread.config.log), (6, LevelFilter::Info));
    file("reloaded", "[chat]\nrooms = 0\n");
    let error = source.read_again().map(drop).unwrap_err().to_string();
    assert!(error.contains("line 2: chat.rooms = 0 is out of range"), "{error}");
}

#[test]
fn each_table_of_a_cluster_is_a_link() {
    let links = |text: &str| {
        let config = config(&["--config", &file("links", text)])?;
        let of = |link: &ClusterSettings| (link.title, link.hubs[0].to_string(), link.wait);
        Ok::<_, String>(config.clusters.iter().map(of).collect::<Vec<_>>())
    };
    let both = "[[cluster]]\naddress = \"a\"\nwait-ms = 7\n[[cluster]]\naddress = \"b\"\n";
    let (seven, five) = (Duration::from_millis(7), Duration::from_millis(5));
    let expected = [("cluster", "a:7422", seven), ("cluster2", "b:7422", five)];
    let expected = expected.map(|(title, hub, wait)| (title, hub.to_owned(), wait));
    assert_eq!(links(both).unwrap(), expected);
    let printed = printed(&["--config", &file("links", both), "--print-config"]);
    assert_eq!(links(&printed).unwrap(), expected);
    let flag = config(&["--config", &file("links", both), "--cluster", "c"]).unwrap();
    assert_eq!((flag.clusters.len(), flag.clusters[0].hubs[0].to_string().as_str()), (2, "c:7422"));
    for (more, expected) in [
        ("[[cluster]]\naddress = \"a\"", "line 7: cluster.address = a names a hub of another link"),
        ("account = \"X\"", "line 6: cluster.account = X is not the account of any user"),
        ("[[cluster]]\nuser = \"x\"", "line 7: cluster.user = x needs a cluster to join"),
        ("[[nats]]\nserver-name = \"n\"", "line 6: nats "),
    ] {
        let error = links(&format!("{both}{more}")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let path = file("links", both);
    let Ok(Task::Serve(_, source)) = understand(&["--config", &path]) else { panic!() };
    let need_restart = |text: &str| {
        file("links", text);
        source.read_again().unwrap_or_else(|error| panic!("{error}")).need_restart
    };
    assert!(need_restart(&format!("{both}token = \"t\"\n")).is_empty());
    assert_eq!(need_restart(&format!("{both}share = \"chat.room.x\"\n")), ["cluster-share"]);
    assert_eq!(need_restart(&format!("{both}[[cluster]]\naddress = \"c\"\n")), ["cluster"]);
}

#[test]
fn help_begins_with_examples_that_can_be_run() {
    let help = printed(&["--help"]);
    let examples: Vec<&str> =
        help.lines().skip_while(|line| *line != "Examples:").skip(1).take(5).collect();
    let usage = help.find("Usage: ").unwrap();
    assert!(help.find("Examples:").is_some_and(|examples| examples < usage), "{help}");
    for heading in ["Chat:", "NATS:", "Push:", "Push over HTTP:", "Admin:"] {
        assert!(help.lines().any(|line| line == heading), "{heading}");
    }
    assert_eq!(examples.len(), 5);
    let mut run = 0;
    for example in examples {
        let words = example.split("   ").next().unwrap().split_whitespace();
        let mut arguments: Vec<&str> = words.collect();
        // Files are there elsewhere.
        if arguments.remove(0) == "fanfare" && !arguments.iter().any(|it| it.contains("fi")) {
            assert!(understand(&arguments).is_ok(), "{example}");
            run += 1;
        }
    }
    assert!(run >= 2, "{help}");
    assert!(printed(&["help", "chat"]).contains("--nick"));
    let top = printed(&["help", "top"]);
    assert!(top.find("--interval-ms").unwrap() < top.find("\nTLS:").unwrap(), "{top}");
}

#[test]
fn the_version_completions_and_man_pages_are_printed() {
    let version = printed(&["version"]);
    assert_eq!(version, printed(&["--version"]));
    assert!(version.starts_with(concat!("fanfare ", env!("CARGO_PKG_VERSION"), " (commit ")));
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("chat-line-bytes") && script.contains("bench"), "{shell}");
    }
    assert!(printed(&["man"]).contains(".TH fanfare 1"));
    assert!(printed(&["man", "chat"]).contains("nick"));
    assert!(understand(&["man", "nosuch"]).is_err());
}

#[test]
fn a_mistaken_name_is_answered_with_the_one_that_was_meant() {
    for (arguments, meant) in [
        (["--chat-room", "5"], "did you mean --chat-rooms?"),
        (["sreve", "--chat-rooms=5"], "did you mean serve?"),
        (["chatt", "--nick=eve"], "did you mean chat?"),
    ] {
        let error = config(&arguments).unwrap_err();
        assert!(error.ends_with(meant) && error.lines().count() == 1, "{error}");
    }
    let variables = ["HOME", "FANFARE_CONFIG", "FANFARE_CHAT_ROOMS", "FANFARE_NATS_PASWORD"];
    assert_eq!(
        mistaken_variables(variables.map(str::to_owned)),
        ["the variable FANFARE_NATS_PASWORD is not a setting; did you mean FANFARE_NATS_PASSWORD?"]
    );
}

#[test]
fn the_client_has_its_own_arguments() {
    let Ok(Task::Chat(client)) = understand(&["chat", "example.org:7000", "--nick", "alice"])
    else {
        panic!()
    };
    assert_eq!(
        (client.server.as_str(), client.nick.as_deref()),
        ("example.org:7000", Some("alice"))
    );
    assert!(understand(&["chat", "--chat", "x"]).is_err());
}
