//! A hub of the test's own: what the link says, byte by byte, and what it makes of strange words.

use crate::joined::{fanfare_at, figure, is_taken};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use testkit::nats::server::Server;
use testkit::nats::tls_certificate;
use testkit::nats::wire::Wire;
use testkit::patience::{PATIENCE, wait_until};
use testkit::ports::own_address;

const INFO: &str = concat!(
    r#"INFO {"server_id":"F","server_name":"fake","version":"2.12.8","client_id":7,"#,
    r#""headers":true,"max_payload":100,"info_on_connect":true,"leafnode_urls":["127.0.0.1:1"]} "#
);
const ACCOUNT: &str = concat!(
    r#"INFO {"server_id":"F","server_name":"fake","version":"2.12.8","headers":true,"#,
    r#""max_payload":100,"connect_info":true,"remote_account":"$G"} "#
);

struct Fake {
    listener: TcpListener,
}

/// The hub's side of one connection.
struct Leaf {
    socket: BufReader<TcpStream>,
}

impl Fake {
    fn start(flags: &[&str]) -> (Self, Server) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("nats://{}", listener.local_addr().unwrap());
        (Self { listener }, fanfare_at(&address, flags))
    }

    /// The next connection, on which nothing was said yet.
    fn accept(&self) -> Leaf {
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Leaf { socket: BufReader::new(socket) }
    }

    /// The next connection, joined; its loop subject.
    fn join(&self) -> (Leaf, String) {
        self.join_with(ACCOUNT)
    }

    fn join_with(&self, account: &str) -> (Leaf, String) {
        // On a busy machine one may be given up before its turn here; then another comes.
        let mut all = std::iter::repeat_with(|| self.accept());
        all.find_map(|leaf| leaf.joined(account)).unwrap()
    }
}

impl Leaf {
    /// Greets, and gives the loop subject too. None if it was left meanwhile.
    fn joined(mut self, account: &str) -> Option<(Self, String)> {
        self.say(INFO);
        let connect = self.line();
        if connect.is_empty() {
            return None;
        }
        assert!(connect.starts_with("CONNECT {"), "{connect}");
        self.say(account);
        let line = self.line();
        let subject = line.strip_prefix("LS+ ").filter(|it| it.starts_with("$LDS."));
        let subject = subject.unwrap_or_else(|| panic!("{line}")).to_owned();
        Some((self, subject))
    }

    fn say(&mut self, lines: &str) {
        // It may have been left already, which the next read shows.
        let _ = self.socket.get_mut().write_all(format!("{lines}\r\n").as_bytes());
    }

    /// The next line but `PING`, which is answered, and `PONG`. Empty: it has closed.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            if self.socket.read_line(&mut line).is_err() {
                return String::new();
            }
            match line.trim_end() {
                "PING" => self.say("PONG"),
                "PONG" => {}
                line => return line.to_owned(),
            }
        }
    }

    fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.line(), *line);
        }
    }

    /// Everything that was said before is dealt with.
    fn sync(&mut self) {
        self.say("PING");
        let mut line = String::new();
        while self.socket.read_line(&mut line).unwrap() > 0 && line != "PONG\r\n" {
            assert_eq!(line, "PING\r\n");
            line.clear();
        }
    }
}

fn here(server: &Server) -> Wire {
    let mut client = server.with_headers();
    client.say("SUB _INBOX.here 1");
    client.sync();
    client
}

#[test]
fn nothing_comes_before_connect_and_interest_waits_for_permissions() {
    let (hub, server) = Fake::start(&["--cluster-name", "n1"]);
    let mut client = here(&server);
    let mut leaf = hub.accept();
    leaf.say(INFO);
    let connect = leaf.line();
    for part in [r#""name":"n1""#, r#""cluster":"n1""#, r#""remote_account":"$G""#] {
        assert!(connect.starts_with("CONNECT {") && connect.contains(part), "{connect}");
    }
    assert!(!connect.contains("\"lang\"") && !connect.contains("\"account\""), "{connect}");
    let rules = r#""connect_info":true,"import":{"allow":["a.>"],"deny":["a.no"]}"#;
    leaf.say(&ACCOUNT.replace("\"connect_info\":true", rules));
    assert!(leaf.line().starts_with("LS+ $LDS."));
    client.say("SUB b 2\r\nSUB b q 6\r\nSUB a.no 3\r\nSUB a.no q 7\r\nSUB a.yes 4");
    leaf.expect(&["LS+ a.yes"]);
    client.say("SUB > 5");
    leaf.expect(&["LS+ >"]);
}

/// Anybody could have put it there.
#[test]
fn plain_bytes_before_tls_end_the_connection() {
    let ca = tls_certificate();
    let (hub, _server) = Fake::start(&["--cluster-tls-ca", ca.to_str().unwrap()]);
    let with_tls = INFO.replace("\"headers\"", "\"tls_required\":true,\"headers\"");
    for said in [format!("{with_tls}\r\nLS+ x"), INFO.to_owned()] {
        let mut leaf = hub.accept();
        leaf.say(&said);
        assert_eq!(leaf.line(), "");
    }
}

#[test]
fn interest_is_told_once_and_groups_begin_and_end_with_one() {
    let (hub, server) = Fake::start(&[]);
    let mut client = server.with_headers();
    client.say("SUB p 1\r\nSUB p 2\r\nSUB w q 3\r\nSUB w q 4");
    client.sync();
    let (mut leaf, _) = hub.join();
    let mut lines: Vec<String> = (0..3).map(|_| leaf.line()).collect();
    lines.sort();
    assert_eq!(lines, ["LS+ p", "LS+ w q 1", "LS+ w q 2"]);
    client.say("UNSUB 1\r\nSUB other 5");
    leaf.expect(&["LS+ other"]);
    client.say("UNSUB 2");
    leaf.expect(&["LS- p"]);
    drop(client);
    let mut lines: Vec<String> = (0..3).map(|_| leaf.line()).collect();
    lines.sort();
    assert_eq!(lines, ["LS+ w q 1", "LS- other", "LS- w q"]);
}

#[test]
fn our_own_loop_subject_ends_the_link_for_a_while() {
    let admin = own_address();
    let (hub, server) = Fake::start(&["--admin", &admin.to_string()]);
    let (mut leaf, subject) = hub.join();
    leaf.say(&format!("LS+ {subject}"));
    assert!(leaf.line().starts_with("-ERR 'Loop detected"));
    assert_eq!(leaf.line(), "");
    wait_until("the end is counted", || figure(admin, "ends_total") == 1);
    drop(server);
}

#[test]
fn jet_streams_deliveries_have_their_own_subject() {
    let (hub, server) = Fake::start(&[]);
    let mut client = here(&server);
    client.say("SUB deliver.me 2\r\nSUB orders.1 3");
    client.sync();
    let (mut leaf, _) = hub.join();
    (0..3).for_each(|_| drop(leaf.line()));
    leaf.say("LMSG deliver.me $JS.ACK.O.D.1.1.1.99.0@orders.1 1\r\nx");
    client.expect("MSG orders.1 2 $JS.ACK.O.D.1.1.1.99.0 1\r\nx\r\n");
    client.sync();
}

#[test]
fn an_answer_to_another_cluster_goes_to_where_its_request_says() {
    let (hub, server) = Fake::start(&[]);
    let mut client = here(&server);
    client.say("SUB svc 2");
    client.sync();
    // Whatever else it may publish.
    let rules = r#""connect_info":true,"export":{"allow":["a"]}"#;
    let (mut leaf, _) = hub.join_with(&ACCOUNT.replace("\"connect_info\":true", rules));
    leaf.line();
    leaf.line();
    leaf.say("LS+ _GR_.>\r\nLS+ b");
    leaf.say("LMSG svc _GR_.abcdef.ghijkl._INBOX.x.y 1\r\nq");
    client.expect("MSG svc 2 _GR_.abcdef.ghijkl._INBOX.x.y 1\r\nq\r\n");
    client.say("PUB b 1\r\nb\r\nPUB _GR_.abcdef.ghijkl._INBOX.x.y 1\r\na");
    leaf.expect(&["LMSG _GR_.abcdef.ghijkl._INBOX.x.y 1", "a"]);
}

#[test]
fn groups_that_are_not_named_get_nothing() {
    let (hub, server) = Fake::start(&[]);
    let mut client = here(&server);
    client.say("SUB w q 2\r\nSUB w r 3\r\nSUB w 4");
    client.sync();
    let (mut leaf, _) = hub.join();
    (0..4).for_each(|_| drop(leaf.line()));
    leaf.say("LMSG w | q 1\r\nx\r\nLMSG w 1\r\ny\r\nLMSG w + re q r 1\r\nz");
    leaf.sync();
    let mut lines = Vec::new();
    client.say("PING");
    loop {
        let line = client.line();
        match line.as_str() {
            "PONG" => break,
            _ => lines.extend(line.strip_prefix("MSG w ").map(str::to_owned)),
        }
    }
    lines.sort();
    assert_eq!(lines, ["2 1", "2 re 1", "3 re 1", "4 1", "4 1", "4 re 1"]);
}

#[test]
fn messages_too_large_for_the_hub_are_not_sent() {
    let admin = own_address();
    let (hub, server) = Fake::start(&["--admin", &admin.to_string()]);
    let mut client = here(&server);
    let (mut leaf, _) = hub.join();
    leaf.line();
    leaf.say("LS+ a");
    leaf.sync();
    let payload = "x".repeat(101);
    client.say(&format!("PUB a 101\r\n{payload}\r\nPUB a 1\r\ny"));
    leaf.expect(&["LMSG a 1", "y"]);
    wait_until("both are counted", || {
        (figure(admin, "too_large_total"), figure(admin, "sent_total")) == (1, 1)
    });
}

#[test]
fn subjects_that_are_no_topics_here_do_not_end_the_link() {
    let admin = own_address();
    let (hub, server) = Fake::start(&["--admin", &admin.to_string()]);
    let mut client = here(&server);
    client.say("SUB > 2");
    client.sync();
    let (mut leaf, _) = hub.join();
    let deep = ["a"; 40].join(".");
    let long = "x".repeat(1_100);
    leaf.say(&format!("LS+ {deep}\r\nLS+ {long} q 1\r\nLS+ {deep}.>\r\nLMSG {deep} 1\r\nx"));
    leaf.say(&format!("LMSG {long} 1\r\nx\r\nLMSG ok {deep} 1\r\nx"));
    client.expect(format!("MSG ok 2 {deep} 1\r\nx\r\n"));
    assert_eq!(figure(admin, "undeliverable_total"), 2);
    assert_eq!(figure(admin, "interest_in"), 0);
}

#[test]
fn a_hub_that_does_not_read_holds_up_nobody_and_is_left() {
    let admin = own_address();
    let flags = ["--admin", &admin.to_string(), "--cluster-queue-bytes", "1000000"];
    let (hub, server) =
        Fake::start(&[&flags[..], &["--cluster-write-deadline-ms", "5000"]].concat());
    let mut client = here(&server);
    client.say("SUB a 2");
    client.sync();
    let (mut leaf, _) = hub.join();
    leaf.line();
    leaf.line();
    leaf.say("LS+ a");
    leaf.sync();
    let payload = "x".repeat(100);
    let (batch, mut sent) = (format!("PUB a 100\r\n{payload}\r\n").repeat(10_000), 0);
    let delivered = format!("MSG a 2 100\r\n{payload}\r\n").repeat(10_000);
    // More than all buffers of the kernel hold.
    while figure(admin, "dropped_total") == 0 {
        client.send(&batch);
        client.expect(&delivered);
        sent += 10_000;
    }
    let is_whole = figure(admin, "ends_total") == 0;
    let (mut next, _) = hub.join();
    wait_until("what was not confirmed is counted", || figure(admin, "unconfirmed_total") > 0);
    let count = |name: &str| figure(admin, name);
    assert_eq!(count("confirmed_total") + count("unconfirmed_total"), count("sent_total"));
    let accounted = count("sent_total") + count("dropped_total");
    assert!(accounted == sent || (!is_whole && accounted < sent), "each is sent or dropped");
    // The interest of the client, and of its inbox, is told anew.
    (0..2).for_each(|_| drop(next.line()));
    next.sync();
}

#[test]
fn a_hub_that_says_nothing_or_something_else_is_tried_again() {
    let (hub, server) = Fake::start(&[]);
    let mut of_clients = hub.accept();
    of_clients.say("INFO {\"server_id\":\"F\",\"client_id\":7,\"version\":\"2.12.8\"} ");
    assert_eq!(of_clients.line(), "");
    let mut broken = hub.accept();
    broken.say("HTTP/1.1 400 Bad Request");
    assert_eq!(broken.line(), "");
    let mut unknown = hub.accept();
    unknown.say(INFO);
    unknown.line();
    unknown.say("-ERR 'Authorization Violation'");
    assert_eq!(unknown.line(), "");
    hub.join();
    drop(server);
}

#[test]
fn other_permissions_are_a_new_connection() {
    let (hub, _server) = Fake::start(&[]);
    let (mut leaf, _) = hub.join();
    leaf.say(&ACCOUNT.replace("\"headers\"", "\"export\":{\"deny\":[\"no\"]},\"headers\""));
    assert_eq!(leaf.line(), "");
    hub.join();
}

#[test]
fn the_interest_of_many_thousands_is_told_to_each_new_connection() {
    let (hub, server) = Fake::start(&[]);
    let mut client = server.with_headers();
    for number in 0..20_000 {
        client.say(&format!("SUB many.{number} {number}"));
    }
    client.sync();
    for _ in 0..2 {
        let (mut leaf, _) = hub.join();
        let mut told: Vec<String> = (0..20_000).map(|_| leaf.line()).collect();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 20_000);
        leaf.sync();
    }
}

#[test]
fn messages_published_before_the_server_stops_still_leave() {
    let (hub, mut server) = Fake::start(&[]);
    let mut client = here(&server);
    let (mut leaf, _) = hub.join();
    leaf.line();
    leaf.say("LS+ a");
    leaf.sync();
    for _ in 0..1_000 {
        client.say("PUB a 1\r\nx");
    }
    client.sync();
    server.signal(rustix::process::Signal::TERM);
    let mut count = 0;
    loop {
        match leaf.line().as_str() {
            "LMSG a 1" => count += 1,
            "" => break,
            _ => {}
        }
    }
    assert_eq!(count, 1_000);
    assert!(server.ended().success());
}

/// What stays at home is not affected.
#[test]
fn a_broken_link_is_told_in_the_next_message_of_each_subscription_that_it_served() {
    let (hub, server) = Fake::start(&[]);
    let mut client = here(&server);
    client.say("SUB a 2");
    let mut at_home = server.with_headers();
    at_home.say("SUB chat.room.x 3");
    client.sync();
    at_home.sync();
    let (mut leaf, _) = hub.join();
    (0..2).for_each(|_| drop(leaf.line()));
    leaf.say("LMSG a 1\r\nx");
    client.expect("MSG a 2 1\r\nx\r\n");
    drop(leaf);
    let (mut leaf, _) = hub.join();
    (0..2).for_each(|_| drop(leaf.line()));
    leaf.say("LMSG a 1\r\ny\r\nLMSG a 1\r\nz");
    let header = "NATS/1.0\r\nFanfare-Missed: 0+\r\n\r\n";
    client.expect(format!("HMSG a 2 {} {}\r\n{header}y\r\n", header.len(), header.len() + 1));
    client.expect("MSG a 2 1\r\nz\r\n");
    client.say("PUB chat.room.x 1\r\nx");
    at_home.expect("MSG chat.room.x 3 1\r\nx\r\n");
}

#[test]
fn a_broken_link_is_nobody() {
    let (hub, server) = Fake::start(&[]);
    let mut client = here(&server);
    let (mut leaf, _) = hub.join();
    leaf.line();
    leaf.say("LS+ svc");
    leaf.sync();
    assert!(is_taken(&mut client, "svc"));
    drop(leaf);
    wait_until("nobody is there", || !is_taken(&mut client, "svc"));
    let (mut leaf, _) = hub.join();
    leaf.line();
    // Nothing old comes before the answer.
    leaf.sync();
}

/// A hub of a server that numbers its messages, and a client of it.
fn numbering(more: &[&str]) -> (Fake, Server, Wire) {
    let flags = ["--cluster-sequence", "n.>", "--cluster-name", "me"];
    let (hub, server) = Fake::start(&[&flags, more].concat());
    // With an inbox it would be told of a broken link on account of that.
    let mut client = server.with_headers();
    client.say("SUB n.a 2");
    client.sync();
    (hub, server, client)
}

/// A message as it comes over the link, with a number.
fn numbered(stamp: &str) -> String {
    let header = format!("NATS/1.0\r\nFanfare-Sequence: {stamp}\r\n\r\n");
    format!("HMSG n.a {} {}\r\n{header}x", header.len(), header.len() + 1)
}

/// The message as a client gets it that has one more header.
fn with_header(sid: u8, header: &str) -> String {
    let header = format!("NATS/1.0\r\n{header}\r\n\r\n");
    format!("HMSG n.a {sid} {} {}\r\n{header}x\r\n", header.len(), header.len() + 1)
}

const PLAIN: &str = "MSG n.a 2 1\r\nx\r\n";

#[test]
fn messages_leave_with_numbers_that_begin_anew_with_each_link() {
    let (hub, _server, mut client) = numbering(&[]);
    client.say("SUB n.> 3");
    client.sync();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (mut leaf, _) = hub.join();
        // All numbered messages are asked for, once.
        leaf.expect(&["LS+ n.>", "LS+ n.a"]);
        client.say("PUB n.a 1\r\nx\r\nPUB other 1\r\nx\r\nPUB n.a 1\r\nx\r\nPUB n.b 1\r\nx");
        let stamps = std::iter::repeat_with(|| leaf.line());
        let stamps = stamps.filter_map(|line| {
            assert!(!line.starts_with("LS+"), "{line}");
            let (run, number) = line.strip_prefix("Fanfare-Sequence: me ")?.split_once(' ')?;
            Some((run.to_owned(), number.to_owned()))
        });
        let (run, numbers): (Vec<_>, Vec<_>) = stamps.take(3).unzip();
        assert!(run.iter().all(|other| *other == run[0]), "{run:?}");
        assert_eq!(numbers, ["1", "2", "1"]);
        runs.push(run[0].clone());
    }
    assert_ne!(runs[0], runs[1]);
}

/// Where the numbers tell what is missing, the broken link is not told too.
#[test]
fn a_gap_between_numbers_is_told_exactly_and_in_its_place() {
    let admin = own_address();
    let (hub, server, mut client) = numbering(&["--admin", &admin.to_string()]);
    let mut member = server.with_headers();
    member.say("SUB n.a g 4");
    member.sync();
    let told = |missed: &str| with_header(2, &format!("Fanfare-Missed: {missed}"));
    let (mut leaf, _) = hub.join();
    leaf.say(&["a 7 1", "a 7 2", "a 7 2", "b 1 1", "a 7 6", "a 7 4"].map(numbered).join("\r\n"));
    client.expect([PLAIN; 4].concat() + &told("3") + PLAIN);
    drop(leaf);
    let (mut leaf, _) = hub.join();
    // The same run goes on, another has begun, and somebody does not number.
    leaf.say(&["a 7 9", "b 2 1", "b 2 2"].map(numbered).join("\r\n"));
    leaf.say("LMSG n.a 1\r\nx\r\nLMSG n.a | g 1\r\nx");
    client.expect(told("2") + &told("0+") + PLAIN + &told("0+") + PLAIN);
    // A group is told that the link was down, and nothing of numbers.
    member.expect(with_header(4, "Fanfare-Missed: 0+"));
    let of = |name: &str| figure(admin, &format!("{name}_total"));
    assert_eq!(["missing", "late", "duplicates"].map(of), [5, 1, 1]);
}

/// Those from here mean nothing, and those from elsewhere keep no message away.
#[test]
fn forged_numbers_are_not_believed() {
    let (hub, _server, mut client) = numbering(&[]);
    let (mut leaf, _) = hub.join();
    (0..2).for_each(|_| drop(leaf.line()));
    let forged = "Fanfare-Sequence: me 1 99";
    let header = format!("NATS/1.0\r\n{forged}\r\n\r\n");
    client.say(&format!("HPUB n.a {} {}\r\n{header}x", header.len(), header.len() + 1));
    client.expect(with_header(2, forged));
    assert!(leaf.line().starts_with("HMSG n.a "));
    leaf.expect(&["NATS/1.0"]);
    let ours = leaf.line();
    assert!(ours.starts_with("Fanfare-Sequence: me ") && ours.ends_with(" 1"), "{ours}");
    leaf.expect(&[forged, "", "x"]);
    for (stamp, missed) in [
        ("a 7 1", None),
        ("a 7 18446744073709551615", Some("0+")),
        ("a 7 2", Some("0+")),
        ("a 7 50", Some("47")),
        ("a 7 3", None),
        ("a 7 51", None),
    ] {
        leaf.say(&numbered(stamp));
        match missed {
            None => client.expect(PLAIN),
            Some(missed) => client.expect(with_header(2, &format!("Fanfare-Missed: {missed}"))),
        }
    }
    // What is no stamp passes on as it is.
    leaf.say(&numbered("nonsense"));
    client.expect(with_header(2, "Fanfare-Sequence: nonsense"));
}
