//! The real binary in the hands of an operator: reloading, systemd.

use crate::FANFARE;
use crate::binary::Process;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{ChildStderr, Command, Stdio};
use testkit::chat::Client;
use testkit::directory::TempDirectory;
use testkit::http::{Http, get, page};
use testkit::patience::PATIENCE;
use testkit::process::{listening_at, listening_only};

/// A file of this test process alone.
fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("fanfare-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// Sends SIGHUP, and gives the line that the log has about it.
pub fn reload(server: &Process, log: &mut BufReader<ChildStderr>) -> String {
    server.signal(Signal::HUP);
    let mut lines = log.lines().map(Result::unwrap);
    lines.find(|line| line.contains("reloaded")).unwrap()
}

/// What NATS answers to these credentials.
fn nats_answer(address: SocketAddr, token: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let connect = format!("CONNECT {{\"auth_token\":\"{token}\",\"verbose\":true}}\r\n");
    client.write_all(connect.as_bytes()).unwrap();
    let mut lines = BufReader::new(client).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("INFO "));
    lines.next().unwrap()
}

#[test]
fn a_reload_takes_over_secrets_and_a_mistake_changes_nothing() {
    let token = file("token", "old\n");
    let config = file("reload.toml", &format!("[nats]\ntoken-file = {token:?}\n"));
    let mut command = Command::new(FANFARE);
    command.args(listening_only("--nats", "127.0.0.1:0")).arg("--config").arg(&config);
    let mut server = Process::of(&mut command);
    let mut log = BufReader::new(server.log.take().unwrap());
    assert_eq!(nats_answer(server.address, "old"), "+OK");
    file("token", "new\n");
    assert!(reload(&server, &mut log).contains("the settings are reloaded"));
    assert_eq!(nats_answer(server.address, "new"), "+OK");
    assert_eq!(nats_answer(server.address, "old"), "-ERR 'Authorization Violation'");
    file("token", "other\n");
    file("reload.toml", &format!("[nats]\ntoken-file = {token:?}\nconections = 1\n"));
    let said = reload(&server, &mut log);
    assert!(said.contains("nothing changes: ") && said.contains("did you mean conn"), "{said}");
    assert_eq!(nats_answer(server.address, "new"), "+OK");
    file("reload.toml", &format!("[nats]\ntoken-file = {token:?}\nmax-payload = 10\n"));
    let said = reload(&server, &mut log);
    assert!(said.contains("these need a restart: nats-max-payload"), "{said}");
    assert_eq!(nats_answer(server.address, "other"), "+OK");
}

#[test]
fn a_reload_changes_limits_and_the_level() {
    let config = file("limits.toml", "[chat]\nconnections = 1\n");
    let mut command = Command::new(FANFARE);
    command.args(listening_at(&[("--chat", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")]));
    let mut server = Process::of(command.arg("--config").arg(&config));
    let admin = server.listening("admin");
    let mut log = BufReader::new(server.log.take().unwrap());
    let read_at = || {
        let varz = page(admin, "/varz");
        humantime::parse_rfc3339(varz["config_load_time"].as_str().unwrap()).unwrap()
    };
    let read_at_first = read_at();
    let first = server.client();
    Client::connect(server.address).wait_for("! this server is full (1 connection)");
    file("limits.toml", "log = \"debug\"\n[chat]\nconnections = 2\n");
    reload(&server, &mut log);
    assert!(read_at() > read_at_first);
    drop(server.client());
    drop(first);
    server.signal(Signal::TERM);
    server.ended();
}

#[test]
fn systemd_is_told_and_watches() {
    let path = std::env::temp_dir().join(format!("fanfare-{}-notify", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(FANFARE);
    command.args(listening_only("--chat", "127.0.0.1:0"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "10000");
    let mut server = Process::of(&mut command);
    let wait_for = |state: &str| {
        let mut buffer = [0; 1_000];
        loop {
            let read_bytes = told.recv(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..read_bytes]).contains(state) {
                return;
            }
        }
    };
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    server.signal(Signal::HUP);
    wait_for("RELOADING=1\nMONOTONIC_USEC=");
    wait_for("READY=1");
    server.signal(Signal::TERM);
    wait_for("STOPPING=1");
    assert_eq!(server.ended().code(), Some(0));
}

/// As systemd starts it: with sockets from descriptor 3 on.
pub fn with_socket(socket: TcpListener, arguments: &[String]) -> Command {
    let mut command = Command::new("sh");
    let pass = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    command.args(["-c", pass, FANFARE]).args(arguments).stdin(Stdio::from(OwnedFd::from(socket)));
    command
}

#[test]
fn a_socket_of_systemd_is_the_listener_at_its_address() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // A client that came before the server is served.
    let mut early = Client::connect(address);
    let arguments = listening_only("--chat", &address.to_string());
    let server = Process::of(&mut with_socket(socket, &arguments));
    assert_eq!(server.address, address);
    early.wait_for("* you are in lobby");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let arguments = listening_only("--chat", "127.0.0.1:0");
    let mut refused = with_socket(other, &arguments).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(refused.wait().unwrap().code(), Some(2));
    let mut said = String::new();
    refused.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("no listener is set to that address"), "{said}");
}

/// What a listener for HTTP answers to a request with this token.
fn status(address: SocketAddr, request: &str, token: &str) -> u16 {
    let mut http = Http::connect(address);
    http.send(format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
         Authorization: Bearer {token}\r\n\r\nhi"
    ));
    http.answer().unwrap().status
}

#[test]
fn a_reload_reaches_every_listener() {
    let directory = TempDirectory::new();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let install = |word: &str| {
        let token = write("admin-token", word);
        let password = write("chat-password", word);
        let users =
            write("users.toml", &format!("[[user]]\nname = \"{word}\"\npassword = \"x\"\n"));
        let tokens = format!("[[token]]\ntoken = \"{word}\"\nuser = \"42\"\n");
        let tokens = write("tokens.toml", &tokens);
        write(
            "fanfare.toml",
            &format!(
                "[admin]\ntoken-file = {token:?}\n[chat]\npassword-file = {password:?}\n[nats]\n\
                 users-file = {users:?}\n[push]\ntokens-file = {tokens:?}\n"
            ),
        )
    };
    let config = install("old");
    let listeners =
        ["chat", "nats", "push-http", "admin"].map(|listener| format!("--{listener}=127.0.0.1:0"));
    let mut command = Command::new(FANFARE);
    command.args(listeners).args(["--push=off", "--push-udp=off", "--config"]).arg(&config);
    let mut server = Process::of(&mut command);
    let [nats, push_http, admin] = ["nats", "push-http", "admin"].map(|it| server.listening(it));
    let mut log = BufReader::new(server.log.take().unwrap());
    let lets_in = |word: &str| {
        let mut chat = Client::connect(server.address);
        chat.say(&format!("/password {word}"));
        chat.say("/quit");
        let chat = chat.rest();
        let mut client = TcpStream::connect(nats).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let connect =
            format!("CONNECT {{\"user\":\"{word}\",\"pass\":\"x\",\"verbose\":true}}\r\n");
        client.write_all(connect.as_bytes()).unwrap();
        let nats = BufReader::new(client).lines().map(Result::unwrap).nth(1).unwrap();
        [
            String::from_utf8_lossy(&chat).contains("you are in lobby"),
            nats == "+OK",
            // Known, and without the right to push.
            status(push_http, "POST /push/user:42", word) == 403,
            status(admin, "GET /readyz", word) == 200,
        ]
    };
    assert_eq!((lets_in("old"), lets_in("new")), ([true; 4], [false; 4]));
    install("new");
    assert!(reload(&server, &mut log).contains("the settings are reloaded"));
    assert_eq!((lets_in("old"), lets_in("new")), ([false; 4], [true; 4]));
}

#[test]
fn a_reload_changes_the_trusted_proxies() {
    let config = file("proxies.toml", "trusted-proxies = \"10.0.0.0/8\"\n");
    let mut server = Process::start(&["--config", config.to_str().unwrap()]);
    let mut log = BufReader::new(server.log.take().unwrap());
    let proxied = || {
        let mut client = Client::connect(server.address);
        client.send(b"PROXY TCP4 192.0.2.8 10.0.0.1 4711 7000\r\n/quit\n");
        String::from_utf8_lossy(&client.rest()).contains("* goodbye")
    };
    assert!(!proxied());
    file("proxies.toml", "trusted-proxies = \"127.0.0.1\"\n");
    assert!(reload(&server, &mut log).contains("the settings are reloaded"));
    assert!(proxied());
}

#[test]
fn a_lame_duck_says_so_and_serves_on() {
    let mut command = Command::new(FANFARE);
    command.args(["--push-http=off", "--push-udp=off", "--lame-duck-grace-ms=3600000"]);
    command.args(["chat", "nats", "push", "admin"].map(|it| format!("--{it}=127.0.0.1:0")));
    let mut server = Process::of(&mut command);
    let [push, admin] = ["push", "admin"].map(|it| server.listening(it));
    let (mut person, mut device) = (server.client(), testkit::push::Client::connect(push));
    device.settle();
    assert!(!get(admin, "/healthz").text().contains("lame_duck"));
    server.signal(Signal::USR2);
    person.wait_for("* the server will end soon");
    assert!(get(admin, "/healthz").text().contains("\"lame_duck\": true"));
    assert_eq!(get(admin, "/readyz").status, 503);
    person.say("/ping");
    person.wait_for("* pong");
    device.settle();
    server.signal(Signal::TERM);
    person.wait_for("* the server is ending; goodbye");
    assert_eq!(device.object()["bye"], "the server is ending");
    assert_eq!(server.ended().code(), Some(0));
}
