//! The shell's commands and the settings of the pages.

use crate::pages::{CLUSTER, OPERATIONS, README, ROOT, START, block, blocks_in};
use crate::server::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::directory::TempDirectory;
use testkit::http::get;
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::{tls_certificate, tls_key};
use testkit::patience::wait_until;
use testkit::tools::{nats_server, programs};

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
# Of itself it waits for half as long again as it samples.
go() {
    shift 2
    command go tool pprof -timeout=120 "$@"
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
fn the_server_announces_itself_as_the_pages_say() {
    let server = Server::start();
    let pages: Vec<&str> = [README, START]
        .iter()
        .map(|page| page.split("$ fanfare\n").nth(1).unwrap().split("```").next().unwrap())
        .collect();
    for page in pages {
        let page = server.put_addresses(page);
        let (page, goes_on) = match page.strip_suffix("...\n") {
            Some(begin) => (begin, true),
            None => (page.as_str(), false),
        };
        let said = &server.announcement;
        assert!(said.starts_with(page) && (goes_on || said == page), "{said}\nthe page: {page}");
    }
}

#[test]
fn operators_find_the_figures_that_their_page_names() {
    let server = Server::start();
    let answer = get(server.at("admin").parse().unwrap(), "/metrics");
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

#[test]
fn a_server_joins_one_hub_after_the_other_as_the_page_says() {
    let Some(program) = nats_server() else { return };
    let [first, second] = [(); 2].map(|()| Hub::start(&program, &HubSettings::default()));
    let joined = |hub: &Hub| get(hub.monitoring, "/leafz").text().contains("\"leafnodes\": 1");
    let mut commands = block(CLUSTER, "sh,no_run", "hub1").lines();
    let flags = commands.find_map(|line| line.strip_prefix("fanfare ")).unwrap();
    let flags = flags
        .replace("hub1:7422", &first.leafnodes.to_string())
        .replace("hub2:7422", &second.leafnodes.to_string());
    let _server = Server::with(&flags.split(' ').collect::<Vec<_>>());
    wait_until("it has joined the first", || joined(&first));
    drop(first);
    wait_until("it has joined the second", || joined(&second));
}

#[test]
fn every_command_of_the_pages_works() {
    let Some(_) = programs(["curl", "go"]) else { return };
    let folder = files();
    let server = Server::start();
    let mut pages = vec![Path::new(ROOT).join("README.md")];
    pages.extend(fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|it| it.unwrap().path()));
    let mut blocks = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|it| it == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for block in blocks_in(&text, "sh") {
            let commands = server
                .put_addresses(block)
                .replace("/etc/fanfare", folder.text())
                // A debug build beside others needs no longer to show that it works.
                .replace("--seconds 3", "--seconds 0.1")
                .replace("?seconds=10", "?seconds=1");
            let output = Command::new("sh")
                .args(["-c", &format!("{PRELUDE}{commands}")])
                .env("FANFARE", env!("CARGO_BIN_EXE_fanfare"))
                .env("ADMIN", server.at("admin"))
                .env("NATS_URL", server.at("nats"))
                .env("PPROF_TMPDIR", folder.path())
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
