//! What the pages tell to type works: programs and commands run against the server, conversations
//! take place as they are written, settings can be used, and the figures that are named are there.
//!
//! A block that begins with `sh,no_run` needs what a test has not: the network, a second machine,
//! or somebody who ends it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use testkit::directory::TempDirectory;
use testkit::http::get;
use testkit::nats::{tls_certificate, tls_key};
use testkit::patience::connect;
use testkit::process::Program;
use testkit::tools::{nats_client, program, python_with_clients};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const README: &str = include_str!("../../README.md");
const START: &str = include_str!("../../docs/start.md");
const CHAT: &str = include_str!("../../docs/chat.md");
const NATS: &str = include_str!("../../docs/nats.md");
const PUSH: &str = include_str!("../../docs/push.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
/// The server's listeners, and the addresses that the pages have for them.
const LISTENERS: [(&str, &str); 6] = [
    ("chat", "127.0.0.1:7000"),
    ("nats", "127.0.0.1:4222"),
    ("push", "127.0.0.1:7002"),
    ("push-udp", "127.0.0.1:7001"),
    ("push-http", "127.0.0.1:7003"),
    ("admin", "127.0.0.1:6060"),
];

/// What the shell has to know before the pages' commands: a server is not started, its settings are
/// checked; a stream goes on in the background until the server ends.
const PRELUDE: &str = r#"
set -e
fanfare() {
    case "$*" in
        top) "$FANFARE" top "http://$ADMIN" --once ;;
        sub\ *) "$FANFARE" "$@" >/dev/null & ;;
        # Until somebody answers, but not for ever.
        request\ *)
            tries=0
            until "$FANFARE" "$@"; do tries=$((tries + 1)) && [ $tries -lt 2000 ]; done ;;
        bench\ * | chat\ * | pub\ * | reply\ * | *--check-config*) "$FANFARE" "$@" ;;
        *) "$FANFARE" "$@" --check-config ;;
    esac
}
curl() {
    case " $* " in
        *" -N "*) command curl -sSf "$@" >/dev/null & ;;
        *) command curl -sSf "$@" ;;
    esac
}
"#;

/// The files that the pages' settings name.
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----
eyJ0eXAi.eyJqdGki.c2ln
------END NATS USER JWT------
-----BEGIN USER NKEY SEED-----
SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y
------END USER NKEY SEED------
";

#[test]
fn the_python_of_the_first_five_minutes_prints_what_the_page_says() {
    let Some(mut python) = python_with_clients() else { return };
    python.arg("-c");
    prints_what_the_page_says("python", python);
}

#[test]
fn the_javascript_of_the_first_five_minutes_prints_what_the_page_says() {
    let (Some(mut node), Some(modules)) = (program("node"), nats_client("node/node_modules"))
    else {
        return;
    };
    node.env("NODE_PATH", modules).arg("-e");
    prints_what_the_page_says("javascript", node);
}

#[test]
fn the_push_of_the_first_five_minutes_prints_what_the_page_says() {
    let mut shell = Command::new("sh");
    shell.arg("-c");
    prints_what_the_page_says("sh", shell);
}

#[test]
fn operators_find_the_figures_that_their_page_names() {
    let (_server, addresses) = server();
    let answer = get(addresses["admin"].parse().unwrap(), "/metrics");
    let metrics = answer.text();
    let mut named = 0;
    for name in OPERATIONS.split('`').skip(1).step_by(2).filter(|it| it.starts_with("fanfare_")) {
        // A counter has no sample before something is counted, but always a type.
        let family = format!("# TYPE {} ", name.trim_end_matches("_total"));
        assert!(metrics.contains(&family), "{name} is not in /metrics:\n{metrics}");
        named += 1;
    }
    assert!(named > 3, "the page names {named} figures");
}

/// Runs the page's code in this language that something printed follows, as the last argument of
/// `interpreter`. A printed line that ends with `...` may go on in any way.
fn prints_what_the_page_says(language: &str, mut interpreter: Command) {
    let (_server, addresses) = server();
    let (code, printed) = START
        .split(&format!("```{language}\n"))
        .skip(1)
        .find_map(|rest| {
            let (code, after) = rest.split_once("```\n")?;
            let (between, printed) = after.split_once("```text\n")?;
            let printed = printed.split("```").next()?;
            (!between.contains("```")).then_some((code, printed))
        })
        .expect("code, and then what it prints");
    let code = with_addresses(code, &addresses);
    let output = interpreter.arg(code).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let output = String::from_utf8_lossy(&output.stdout);
    let is_same = |(line, page)| is_same(line, page);
    let are_same = output.lines().zip(printed.lines()).all(is_same)
        && output.lines().count() == printed.lines().count();
    assert!(are_same, "it prints:\n{output}\nthe page says:\n{printed}{error}");
}

#[test]
fn the_server_announces_itself_as_the_pages_say() {
    let (server, addresses) = server();
    let pages: Vec<&str> = [README, START]
        .iter()
        .map(|page| page.split("$ fanfare\n").nth(1).unwrap().split("```").next().unwrap())
        .collect();
    for page in pages {
        let page = with_addresses(page, &addresses);
        let (page, goes_on) = match page.strip_suffix("...\n") {
            Some(begin) => (begin, true),
            None => (page.as_str(), false),
        };
        let said = &server.announcement;
        assert!(said.starts_with(page) && (goes_on || said == page), "{said}\nthe page: {page}");
    }
}

#[test]
fn every_command_of_the_pages_works() {
    if program("curl").is_none() {
        return;
    }
    let folder = files();
    let (_server, addresses) = server();
    let mut pages = vec![Path::new(ROOT).join("README.md")];
    pages.extend(fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|it| it.unwrap().path()));
    let mut blocks = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|it| it == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for block in blocks_in(&text, "sh") {
            let commands = with_addresses(block, &addresses)
                .replace("/etc/fanfare", folder.text())
                // A debug build beside others needs no longer to show that it works.
                .replace("--seconds 3", "--seconds 0.1");
            let output = Command::new("sh")
                .args(["-c", &format!("{PRELUDE}{commands}")])
                .env("FANFARE", env!("CARGO_BIN_EXE_fanfare"))
                .env("ADMIN", &addresses["admin"])
                .env("NATS_URL", &addresses["nats"])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(folder.path().join("said")).unwrap())
                .status();
            let said = fs::read_to_string(folder.path().join("said")).unwrap();
            assert!(output.unwrap().success(), "{}:\n{block}\n{said}", page.display());
            blocks += 1;
        }
        for block in blocks_in(&text, "toml").filter(|block| block.contains("address = ")) {
            let settings = block.replace("/etc/fanfare", folder.text());
            fs::write(folder.path().join("block.toml"), settings).unwrap();
            let mut checked = Command::new(env!("CARGO_BIN_EXE_fanfare"));
            checked.args(["--check-config", "--config", "block.toml"]);
            checked.args(["--nats-users-file", "accounts.toml"]).current_dir(folder.path());
            let checked = checked.output().unwrap();
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{}:\n{block}\n{said}", page.display());
            blocks += 1;
        }
    }
    assert!(blocks > 15, "{blocks} blocks");
}

#[test]
fn two_people_talk_as_the_pages_say() {
    let bob = transcript(CHAT, "you are guest2");
    for alice in [transcript(README, "you are guest1"), transcript(CHAT, "you are guest1")] {
        let (server, addresses) = server();
        let before_bob = alice.iter().position(|line| line.contains("guest2")).unwrap();
        let (alone, together) = alice.split_at(before_bob);
        let (together, goodbye) = match together.split_last() {
            Some((last, before)) if last.contains("the server is ending") => (before, Some(last)),
            _ => (together, None),
        };
        let mut at_alice = Talk::with(&addresses["chat"], "\n");
        at_alice.go(alone);
        thread::scope(|scope| {
            scope.spawn(|| Talk::with(&addresses["chat"], "\n").go(&bob));
            at_alice.go(together);
        });
        if let Some(goodbye) = goodbye {
            server.stop();
            at_alice.go(&[goodbye]);
        }
    }
}

#[test]
fn a_person_owns_a_name_as_the_page_says() {
    let (_server, addresses) = server();
    let mut talk = Talk::with(&addresses["chat"], "\n");
    talk.go(&["* welcome...", "* you are in lobby..."]);
    talk.go(&transcript(CHAT, "/register correct-horse"));
}

#[test]
fn somebody_speaks_nats_by_hand_as_the_page_says() {
    let (_server, addresses) = server();
    Talk::with(&addresses["nats"], "\r\n").go(&transcript(NATS, "nc -C"));
}

#[test]
fn a_push_gets_from_one_terminal_to_the_other_as_the_page_says() {
    let Some([_]) = testkit::tools::programs(["nc"]) else { return };
    let (_server, addresses) = server();
    let listens = transcript(PUSH, "< {\"hello\"");
    let (hello, push) = listens.split_at(2);
    let mut listener = Talk::with(&addresses["push"], "\n");
    listener.go(hello);
    let pushes = transcript(PUSH, "ok 1 0");
    let command = PUSH.lines().find_map(|line| line.strip_prefix("$ printf")).unwrap();
    let command = with_addresses(&format!("printf{command}"), &addresses);
    let answer = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim_end(), pushes[0]);
    listener.go(push);
}

/// Somebody with `nc`.
struct Talk {
    reader: BufReader<TcpStream>,
    line_end: &'static str,
}

impl Talk {
    fn with(address: &str, line_end: &'static str) -> Self {
        Self { reader: BufReader::new(connect(address.parse().unwrap())), line_end }
    }

    /// Says the lines with `<`, each after the answers before it, and hears the others.
    #[track_caller]
    fn go(&mut self, lines: &[&str]) {
        for page in lines {
            if let Some(said) = page.strip_prefix("< ") {
                let said = format!("{said}{}", self.line_end);
                self.reader.get_mut().write_all(said.as_bytes()).unwrap();
                continue;
            }
            let mut heard = String::new();
            self.reader.read_line(&mut heard).unwrap();
            assert!(is_same(heard.trim_end(), page), "heard: {heard}the page: {page}");
        }
    }
}

/// Whether a line is what a page has, where `...` stands for anything.
fn is_same(line: &str, page: &str) -> bool {
    let mut parts = page.split("...");
    let Some(mut rest) = parts.next().and_then(|begin| line.strip_prefix(begin)) else {
        return false;
    };
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty() || page.ends_with("...")
}

/// The lines of the page's conversation that has this in it, without the command that begins it.
fn transcript<'p>(page: &'p str, word: &str) -> Vec<&'p str> {
    let mut blocks = blocks_in(page, "text").chain(blocks_in(page, "console"));
    let block = blocks.find(|block| block.contains(word)).unwrap_or_else(|| panic!("no {word}"));
    block.lines().filter(|line| !line.starts_with("$ ")).collect()
}

fn blocks_in<'p>(page: &'p str, language: &str) -> impl Iterator<Item = &'p str> {
    let begin = format!("```{language}\n");
    let blocks: Vec<&str> =
        page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    blocks.into_iter()
}

/// A page's text with the server's addresses in place of its own.
fn with_addresses(text: &str, addresses: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (listener, page) in LISTENERS {
        let address = &addresses[listener];
        text = text.replace(page, address);
        // As `nc` has it.
        text = text.replace(&page.replace(':', " "), &address.replace(':', " "));
    }
    text.replace("HOST:6060", &addresses["admin"])
}

/// A folder with the files that the pages' commands and settings name.
fn files() -> TempDirectory {
    let folder = TempDirectory::new();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let [cert, key] = [tls_certificate(), tls_key()].map(|file| fs::read_to_string(file).unwrap());
    write("cert.pem", &cert);
    write("ca.pem", &cert);
    write("key.pem", &key);
    ["edge.creds", "shop.creds"].iter().for_each(|name| write(name, CREDENTIALS));
    ["cluster-password", "edge-password"].iter().for_each(|name| write(name, "secret\n"));
    write("accounts.toml", "[[user]]\nname = \"till\"\npassword = \"x\"\naccount = \"SHOP\"\n");
    write("nats-server.conf", "port: 4222\n");
    let example = Path::new(ROOT).join("fanfare.example.toml");
    write("fanfare.toml", &fs::read_to_string(example).unwrap());
    folder
}

/// A server that ends with the test.
struct Server {
    program: Program,
    announcement: String,
    _data: TempDirectory,
}

impl Server {
    fn stop(&self) {
        let id = rustix::process::Pid::from_child(&self.program.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }
}

/// The binary on ports of its own, and where it listens.
fn server() -> (Server, BTreeMap<String, String>) {
    let data = TempDirectory::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (listener, _) in LISTENERS {
        command.args([&format!("--{listener}"), "127.0.0.1:0"]);
    }
    command.args(["--data-dir", data.text()]).current_dir(data.path());
    let mut child: Child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut announcement, mut addresses) = (String::new(), BTreeMap::new());
    for line in lines.map(Result::unwrap) {
        announcement += &format!("{line}\n");
        let listening = line.strip_prefix("listening ").and_then(|rest| rest.split_once(' '));
        if let Some((listener, address)) = listening {
            let address = address.trim_start_matches("http://").trim_end_matches('/');
            addresses.insert(listener.to_owned(), address.to_owned());
        }
        // The last line.
        if addresses.contains_key("admin") {
            break;
        }
    }
    (Server { program: Program(child), announcement, _data: data }, addresses)
}
