//! Links by TLS, and with keys instead of passwords.

use crate::joined::{Joined, fanfare, fanfare_at, figure, is_taken};
use crate::operator::{creds, hub_lines, user_key, user_seed};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use testkit::directory::TempDirectory;
use testkit::http::page;
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::server::Server;
use testkit::nats::{tls_certificate, tls_key};
use testkit::patience::wait_until;
use testkit::ports::own_address;

crate::with_hubs!(
    a_link_is_encrypted,
    a_hub_that_somebody_else_has_signed_is_left,
    a_hub_sees_the_certificate_that_it_asks_for,
    one_side_alone_has_no_tls,
    another_hub_has_a_certificate_of_the_same_name,
    a_user_of_an_operator_joins_with_credentials,
    a_reload_renews_certificates_and_credentials;
    since 2.10:
    a_user_joins_with_the_seed_of_its_key,
    the_handshake_comes_first_if_both_say_so,
);

const SOMEBODY_ELSE: &str = "-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUdoFt9Q48KNN4+GU/hPBL/U1eZAIwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMc29tZW9uZSBlbHNlMCAXDTI2MTEyMTIwMzgwMloYDzIxMjYx
MDI4MjAzODAyWjAXMRUwEwYDVQQDDAxzb21lb25lIGVsc2UwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAATa+OHpxS5B+Wl4kjFB1apZiJb2jEcA3d0wdirMCM6GKQDg
WPy8MdNPC/QVTRbDmA9bY8itPhn9sUAkZN8tEd+Eo2kwZzAdBgNVHQ4EFgQUmHw/
0v+rpXV5FqybugRRJJJk+QowHwYDVR0jBBgwFoAUmHw/0v+rpXV5FqybugRRJJJk
+QowDwYDVR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZI
zj0EAwIDRwAwRAIgN3C9QzQvmSuvPcOurGkg9CwuCVkAiH1f+N4agm8QuMECICPc
SNmrHhwkv7XacDP1O8TfkR5mYY6R1LZ2f4En7twS
-----END CERTIFICATE-----
";

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The settings of a hub that speaks TLS, with more of them.
fn hub_with_tls(more: &str) -> HubSettings {
    let [certificate, key] = [tls_certificate(), tls_key()].map(|path| text(&path));
    let tls =
        format!("tls {{ cert_file: {certificate:?}, key_file: {key:?}, timeout: 60, {more} }}");
    HubSettings { leafnodes: tls, ..HubSettings::default() }
}

/// What a hub asks its leaf nodes for.
fn verified() -> String {
    format!("ca_file: {:?}, verify: true", text(&tls_certificate()))
}

/// The flags with which a link believes the tests' certificate.
fn trusting(more: &[&str]) -> Vec<String> {
    let flags = ["--cluster-tls-ca".to_owned(), text(&tls_certificate())];
    flags.into_iter().chain(more.iter().map(|flag| (*flag).to_owned())).collect()
}

fn join(program: &Path, settings: &HubSettings, flags: &[String]) -> Joined {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Joined::with(program, settings, &flags)
}

/// A server whose link is looked at.
fn watched(hub: &Hub, flags: &[String]) -> (Server, SocketAddr) {
    let admin = own_address();
    let admin_flags = ["--admin".to_owned(), admin.to_string()];
    let flags: Vec<&str> = flags.iter().chain(&admin_flags).map(String::as_str).collect();
    (fanfare(&[hub], &flags), admin)
}

fn is_refused(hub: &Hub, flags: &[String]) {
    let (_server, admin) = watched(hub, flags);
    wait_until("it was tried twice", || figure(admin, "ends_total") >= 2);
    assert_eq!(figure(admin, "joins_total"), 0);
}

fn passes_both_ways(joined: &mut Joined) {
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB a 1");
    here.say("SUB b 1");
    there.sync();
    here.sync();
    joined.settle();
    // More than a TLS record, and than the buffer before it.
    let payload = "x".repeat(200_000);
    let message = format!("{}\r\n{payload}\r\n", payload.len());
    here.send(format!("PUB a {message}"));
    there.expect(format!("MSG a 1 {message}"));
    there.send(format!("PUB b {message}"));
    here.expect(format!("MSG b 1 {message}"));
}

fn a_link_is_encrypted(program: &Path) {
    let hub = Hub::start(program, &hub_with_tls(""));
    let address = format!("tls://localhost:{}", hub.leafnodes.port());
    let flags = trusting(&[]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = fanfare_at(&address, &flags);
    passes_both_ways(&mut Joined::of(hub, server));
}

fn a_hub_that_somebody_else_has_signed_is_left(program: &Path) {
    let hub = Hub::start(program, &hub_with_tls(""));
    let folder = TempDirectory::new();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, SOMEBODY_ELSE).unwrap();
    is_refused(&hub, &["--cluster-tls-ca".to_owned(), text(&file)]);
}

fn a_hub_sees_the_certificate_that_it_asks_for(program: &Path) {
    let settings = hub_with_tls(&verified());
    let [certificate, key] = [tls_certificate(), tls_key()].map(|path: PathBuf| text(&path));
    let shown = trusting(&["--cluster-tls-cert", &certificate, "--cluster-tls-key", &key]);
    passes_both_ways(&mut join(program, &settings, &shown));
    is_refused(&Hub::start(program, &settings), &trusting(&[]));
}

fn one_side_alone_has_no_tls(program: &Path) {
    is_refused(&Hub::start(program, &hub_with_tls("")), &[]);
    is_refused(&Hub::start(program, &HubSettings::default()), &trusting(&[]));
}

/// The hub is dialled by its name, and the other is told of by its address.
fn another_hub_has_a_certificate_of_the_same_name(program: &Path) {
    let route = own_address();
    let hub = |name: &str, cluster: String| {
        let lines = format!("server_name: {name}\ncluster {{ name: c, {cluster} }}\n");
        Hub::start(program, &HubSettings { lines, ..hub_with_tls("") })
    };
    let first = hub("hub1", format!("listen: \"{route}\""));
    let routes = format!("listen: \"127.0.0.1:-1\", routes: [\"nats://{route}\"]");
    let second = hub("hub2", routes);
    let admin = own_address();
    let address = format!("tls://localhost:{}", first.leafnodes.port());
    let ca = text(&tls_certificate());
    let flags = ["--cluster-tls-ca", &ca, "--admin", &admin.to_string()];
    let server = fanfare_at(&address, &flags);
    let mut here = server.with_headers();
    here.say("SUB _INBOX.here 1");
    let mut there = second.client();
    there.say("SUB b 1");
    there.sync();
    wait_until("the second hub's interest gets here", || is_taken(&mut here, "b"));
    drop(first);
    wait_until("the link is made with the second hub", || figure(admin, "joins_total") == 2);
}

fn a_user_of_an_operator_joins_with_credentials(program: &Path) {
    let hub = Hub::start(program, &HubSettings { lines: hub_lines(), ..HubSettings::default() });
    let folder = TempDirectory::new();
    let file = folder.path().join("user.creds");
    std::fs::write(&file, creds()).unwrap();
    let flags = ["--cluster-creds-file".to_owned(), text(&file)];
    let ((one, _), (other, _)) = (watched(&hub, &flags), watched(&hub, &flags));
    let (mut one, mut other) = (one.with_headers(), other.with_headers());
    one.say("SUB _INBOX.here 1");
    other.say("SUB x 1");
    other.sync();
    wait_until("interest gets from one to the other", || is_taken(&mut one, "x"));
    other.expect("MSG x 1 _INBOX.here 0\r\n\r\n");
    is_refused(&hub, &[]);
}

fn a_reload_renews_certificates_and_credentials(program: &Path) {
    let lines = "authorization { users: [ { user: u, password: right } ] }".to_owned();
    let hub = Hub::start(program, &HubSettings { lines, ..hub_with_tls("") });
    let folder = TempDirectory::new();
    let [ca, password] = ["ca.pem", "password"].map(|name| folder.path().join(name));
    std::fs::write(&ca, SOMEBODY_ELSE).unwrap();
    std::fs::write(&password, "wrong").unwrap();
    let flags = ["--cluster-user", "u", "--cluster-password-file"].map(str::to_owned);
    let flags = [&flags[..], &[text(&password), "--cluster-tls-ca".to_owned(), text(&ca)]].concat();
    let (server, admin) = watched(&hub, &flags);
    let ends_by = |reason: &str| page(admin, "/varz")["leaf"]["remotes"][0]["last_end"] == reason;
    wait_until("the hub is not believed", || ends_by("TLS handshake failed"));
    std::fs::copy(tls_certificate(), &ca).unwrap();
    server.signal(Signal::HUP);
    wait_until("the hub is believed", || ends_by("not authorized"));
    std::fs::write(&password, "right").unwrap();
    server.signal(Signal::HUP);
    wait_until("the link stands", || figure(admin, "joins_total") == 1);
}

/// Hubs of 2.9 know no keys of leaf nodes.
fn a_user_joins_with_the_seed_of_its_key(program: &Path) {
    let users = format!("users: [{{ nkey: {} }}, {{ user: all, password: pw }}]", user_key());
    let settings = HubSettings {
        lines: format!("authorization {{ {users} }}\nno_auth_user: all\n"),
        leafnodes: format!("authorization {{ nkey: {} }}", user_key()),
        ..HubSettings::default()
    };
    let flags = ["--cluster-nkey-seed".to_owned(), user_seed()];
    passes_both_ways(&mut join(program, &settings, &flags));
    is_refused(&Hub::start(program, &settings), &[]);
}

/// Hubs of 2.9 cannot begin with TLS.
fn the_handshake_comes_first_if_both_say_so(program: &Path) {
    let settings = hub_with_tls("handshake_first: true");
    let flags = trusting(&["--cluster-tls-handshake-first"]);
    passes_both_ways(&mut join(program, &settings, &flags));
}
