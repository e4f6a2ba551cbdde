//! Several links of one server: one for each account, or into several clusters.

use crate::FANFARE;
use crate::joined::{figure_of, is_taken};
use std::net::SocketAddr;
use std::path::Path;
use testkit::directory::TempDirectory;
use testkit::http::page;
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::{Settings, User};
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;
use testkit::ports::own_address;

crate::with_hubs!(
    each_account_has_a_link,
    one_account_is_in_two_clusters,
    two_links_into_one_cluster_are_a_loop,
    a_file_of_nats_server_has_several_remotes,
);

/// A server with these links, as its settings file has them; where it tells of itself.
fn with_links(links: &str, users: Vec<User>) -> (Server, SocketAddr, TempDirectory) {
    let (admin, folder) = (own_address(), TempDirectory::new());
    let file = folder.path().join("fanfare.toml");
    std::fs::write(&file, links).unwrap();
    let flags = ["--admin", &admin.to_string(), "--config", file.to_str().unwrap()];
    let flags = flags.map(str::to_owned).into();
    let settings = Settings { users, flags, ..Settings::default() };
    (Server::start(Kind::Fanfare, Path::new(FANFARE), &settings), admin, folder)
}

/// A hub with two accounts, each with a user of the same name.
fn hub_of_accounts(program: &Path) -> Hub {
    let account = |name: &str| format!("{name} {{ users: [{{user: {name}, password: p}}] }}\n");
    let lines = format!("accounts {{ {} {} }}\n", account("A"), account("B"));
    Hub::start(program, &HubSettings { lines, ..HubSettings::default() })
}

fn users() -> Vec<User> {
    vec![User::of("A", "A", "p"), User::of("B", "B", "p")]
}

/// A client of an account, which hears its inbox.
fn client(address: SocketAddr, account: &str) -> Wire {
    let mut client = Wire::connect(address);
    let options = r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true"#;
    client.say(&format!(r#"CONNECT {{"user":"{account}","pass":"p",{options}}}"#));
    client.say("SUB _INBOX.here 9");
    client.sync();
    client
}

/// A request from `one` gets to `other`, which subscribes to its subject.
fn gets_there(one: &mut Wire, other: &mut Wire, subject: &str) {
    // Its subject is the subscription's id, too.
    other.say(&format!("SUB {subject} {subject}"));
    other.sync();
    wait_until("it is known to the other side", || is_taken(one, subject));
    other.expect(format!("MSG {subject} {subject} _INBOX.here 0\r\n\r\n"));
}

/// Each account of a server is joined with the account of the same name at the hub, and with that
/// alone.
fn accounts_are_joined(hub: &Hub, server: &Server, admin: SocketAddr) {
    let sides = ["A", "B"].map(|account| {
        let (mut there, mut here) = (client(hub.address, account), client(server.address, account));
        gets_there(&mut there, &mut here, &format!("down.{account}"));
        gets_there(&mut here, &mut there, &format!("up.{account}"));
        (there, here)
    });
    let [(mut there, mut here), (mut there_b, mut here_b)] = sides;
    assert!(!is_taken(&mut there, "down.B") && !is_taken(&mut here, "up.B"));
    for client in [&mut there, &mut here, &mut there_b, &mut here_b] {
        client.sync();
    }
    let remotes = &page(admin, "/varz")["leaf"]["remotes"];
    for (at, link, account) in [(0, "cluster", "A"), (1, "cluster2", "B")] {
        let remote = &remotes[at];
        assert_eq!((&remote["link"], &remote["local_account"]), (&link.into(), &account.into()));
        assert!(figure_of(admin, link, "sent_total") >= 1, "{remote}");
    }
}

fn each_account_has_a_link(program: &Path) {
    let hub = hub_of_accounts(program);
    let address = hub.leafnodes;
    let links = format!(
        "[[cluster]]\naddress = \"nats://A:p@{address}\"\naccount = \"A\"\n\
         [[cluster]]\naddress = \"{address}\"\naccount = \"B\"\nuser = \"B\"\n\
         password = \"p\"\n"
    );
    let (server, admin, _folder) = with_links(&links, users());
    accounts_are_joined(&hub, &server, admin);
    assert_eq!(page(admin, "/varz")["leafnodes"], 2);
    let leafs = page(admin, "/leafz");
    assert_eq!(
        (&leafs["leafnodes"], &leafs["leafs"][1]["front_end"]),
        (&2.into(), &"cluster2".into())
    );
}

fn a_file_of_nats_server_has_several_remotes(program: &Path) {
    let hub = hub_of_accounts(program);
    let (admin, folder) = (own_address(), TempDirectory::new());
    let remote =
        |name: &str| format!("{{ url: \"nats://{name}:p@{}\", account: {name} }}\n", hub.leafnodes);
    let file = folder.path().join("nats-server.conf");
    let remotes = format!("leafnodes {{ remotes: [ {} {} ] }}\n", remote("A"), remote("B"));
    std::fs::write(&file, remotes).unwrap();
    let flags = ["--admin", &admin.to_string(), "--nats-config", file.to_str().unwrap()];
    let flags = flags.map(str::to_owned).into();
    let settings = Settings { users: users(), flags, ..Settings::default() };
    let server = Server::start(Kind::Fanfare, Path::new(FANFARE), &settings);
    accounts_are_joined(&hub, &server, admin);
}

fn one_account_is_in_two_clusters(program: &Path) {
    let hubs = [1, 2].map(|_| Hub::start(program, &HubSettings::default()));
    let links =
        hubs.each_ref().map(|hub| format!("[[cluster]]\naddress = \"{}\"\n", hub.leafnodes));
    let (server, _admin, _folder) = with_links(&links.concat(), Vec::new());
    let mut here = server.with_headers();
    here.say("SUB all 2");
    let [mut one, mut two] = hubs.each_ref().map(|hub| {
        let mut there = hub.client();
        there.say("SUB _INBOX.here 9\r\nSUB all 2\r\nSUB jobs workers 3");
        there.sync();
        there
    });
    // What comes over a link comes after the interest that was told before.
    gets_there(&mut one, &mut here, "from.one");
    gets_there(&mut two, &mut here, "from.two");
    one.say("PUB all 3\r\none");
    here.expect("MSG all 2 3\r\none\r\n");
    here.send("PUB jobs 1\r\nx\r\n".repeat(20));
    here.say("PUB all 4\r\nhere");
    here.expect("MSG all 2 4\r\nhere\r\n");
    one.expect("MSG all 2 3\r\none\r\n");
    let jobs = |wire: &mut Wire| {
        let lines = std::iter::repeat_with(|| wire.line()).take_while(|line| line != "MSG all 2 4");
        let jobs = lines.filter(|line| line == "MSG jobs 3 1").count();
        wire.expect("here\r\n");
        wire.sync();
        jobs
    };
    assert_eq!(jobs(&mut one) + jobs(&mut two), 20, "each is for one member in both clusters");
    here.sync();
}

fn two_links_into_one_cluster_are_a_loop(program: &Path) {
    let hub = Hub::start(program, &HubSettings::default());
    let link = |host: &str| format!("[[cluster]]\naddress = \"{host}:{}\"\n", hub.leafnodes.port());
    let (_server, admin, _folder) =
        with_links(&(link("127.0.0.1") + &link("localhost")), Vec::new());
    wait_until("a loop is found", || {
        let remotes = page(admin, "/varz")["leaf"]["remotes"].take();
        remotes.as_array().unwrap().iter().any(|link| link["last_end"] == "loop")
    });
}
