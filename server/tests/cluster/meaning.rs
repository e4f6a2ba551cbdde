//! What the link means: who gets what on which side.

use crate::joined::{Joined, fanfare, fanfare_at, is_taken};
use std::net::SocketAddr;
use std::path::Path;
use testkit::http::page;
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;
use testkit::ports::own_address;

crate::with_hubs!(
    messages_pass_both_ways,
    a_large_message_passes,
    interest_comes_and_goes,
    requests_are_answered_from_the_other_side,
    nobody_is_there_to_answer,
    a_publishers_messages_stay_in_order,
    a_group_is_served_here_first,
    a_group_over_there_gets_what_nobody_here_takes,
    the_hub_serves_its_own_members_first,
    two_servers_are_one,
    a_super_cluster_is_one,
    home_subjects_stay_at_home,
    shared_subjects_pass,
    only_what_is_exported_leaves,
    a_message_for_many_leaves_once,
    a_receipt_says_what_left,
    a_link_can_be_looked_at,
);

fn messages_pass_both_ways(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB a.> 1");
    here.say("SUB b.* 1");
    there.sync();
    here.sync();
    joined.settle();
    here.say("PUB a.x 2\r\nhi\r\nPUB a.y.z re.ply 0\r\n");
    here.say("HPUB a.h 19 21\r\nNATS/1.0\r\nA: 12\r\n\r\nok\r\nPUB other 1\r\nx");
    there.expect("MSG a.x 1 2\r\nhi\r\nMSG a.y.z 1 re.ply 0\r\n\r\n");
    there.expect("HMSG a.h 1 19 21\r\nNATS/1.0\r\nA: 12\r\n\r\nok\r\n");
    there.say("PUB b.x 2\r\nhi\r\nPUB b.y re.ply 0\r\n");
    there.say("HPUB b.h re 19 21\r\nNATS/1.0\r\nA: 12\r\n\r\nok\r\nPUB b.x.y 1\r\nx");
    here.expect("MSG b.x 1 2\r\nhi\r\nMSG b.y 1 re.ply 0\r\n\r\n");
    here.expect("HMSG b.h 1 re 19 21\r\nNATS/1.0\r\nA: 12\r\n\r\nok\r\n");
    joined.settle();
    there.sync();
    here.sync();
}

fn a_large_message_passes(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB large 1");
    here.say("SUB large 1");
    there.sync();
    here.sync();
    joined.settle();
    let payload = "x".repeat(1 << 20);
    let size = payload.len();
    here.say(&format!("PUB large {size}\r\n{payload}"));
    for wire in [&mut here, &mut there] {
        wire.expect(format!("MSG large 1 {size}\r\n{payload}\r\n"));
    }
    there.say(&format!("PUB large {size}\r\n{payload}"));
    for wire in [&mut here, &mut there] {
        wire.expect(format!("MSG large 1 {size}\r\n{payload}\r\n"));
    }
}

fn interest_comes_and_goes(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    here.say("SUB _INBOX.here 9");
    for _ in 0..3 {
        there.say("SUB svc 1\r\nSUB svc q 2\r\nSUB s.* 3");
        there.sync();
        joined.settle();
        assert!(is_taken(&mut here, "svc") && is_taken(&mut here, "s.x"));
        there.expect("MSG svc 1 _INBOX.here 0\r\n\r\nMSG svc 2 _INBOX.here 0\r\n\r\n");
        there.expect("MSG s.x 3 _INBOX.here 0\r\n\r\n");
        there.say("UNSUB 1\r\nUNSUB 2\r\nUNSUB 3");
        there.sync();
        joined.settle();
        assert!(!is_taken(&mut here, "svc") && !is_taken(&mut here, "s.x"));
    }
    // And the other way: the hub tells its own clients that nobody is there.
    there.say("SUB _INBOX.here 9");
    for _ in 0..3 {
        here.say("SUB w 1\r\nSUB w q 2\r\nSUB w q 3");
        here.sync();
        joined.settle();
        assert!(is_taken(&mut there, "w"));
        here.expect("MSG w 1 _INBOX.here 0\r\n\r\n");
        let line = here.line();
        assert!(line.starts_with("MSG w ") && line.ends_with(" _INBOX.here 0"), "{line}");
        here.expect("\r\n");
        here.say("UNSUB 1\r\nUNSUB 2\r\nUNSUB 3");
        here.sync();
        joined.settle();
        assert!(!is_taken(&mut there, "w"));
    }
}

fn requests_are_answered_from_the_other_side(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB svc.there q 1");
    here.say("SUB svc.here q 1");
    there.sync();
    here.sync();
    joined.settle();
    for number in 0..20 {
        // The inbox is new each time, and known there before the request comes.
        here.say(&format!("SUB _INBOX.a{number} 9\r\nPUB svc.there _INBOX.a{number} 1\r\nq"));
        there.expect(format!("MSG svc.there 1 _INBOX.a{number} 1\r\nq\r\n"));
        there.say(&format!("PUB _INBOX.a{number} 1\r\na"));
        here.expect(format!("MSG _INBOX.a{number} 9 1\r\na\r\n"));
        here.say("UNSUB 9");
        there.say(&format!("SUB _INBOX.b{number} 9\r\nPUB svc.here _INBOX.b{number} 1\r\nq"));
        here.expect(format!("MSG svc.here 1 _INBOX.b{number} 1\r\nq\r\n"));
        here.say(&format!("PUB _INBOX.b{number} 1\r\na"));
        there.expect(format!("MSG _INBOX.b{number} 9 1\r\na\r\n"));
        there.say("UNSUB 9");
    }
}

fn nobody_is_there_to_answer(program: &Path) {
    let joined = Joined::new(program);
    let mut here = joined.fanfare.with_headers();
    here.say("SUB _INBOX.x 1\r\nPUB nobody _INBOX.x 0\r\n");
    here.expect("HMSG _INBOX.x 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
}

fn a_publishers_messages_stay_in_order(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB up.> 1");
    here.say("SUB down.> 1");
    there.sync();
    here.sync();
    joined.settle();
    let messages = |to: &str| -> Vec<String> {
        (0..5_000).map(|number| format!("{to}.{} 6\r\n{number:06}\r\n", number % 3)).collect()
    };
    let of = |messages: &[String], verb: &str| -> String {
        messages.iter().map(|message| format!("{verb} {message}")).collect()
    };
    let (up, down) = (messages("up"), messages("down"));
    here.send(of(&up, "PUB"));
    there.send(of(&down, "PUB"));
    let delivered = |message: &String| message.replacen(" 6", " 1 6", 1);
    for message in &up {
        there.expect(format!("MSG {}", delivered(message)));
    }
    for message in &down {
        here.expect(format!("MSG {}", delivered(message)));
    }
}

fn a_group_is_served_here_first(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB work q 1");
    here.say("SUB work q 1");
    there.sync();
    here.sync();
    joined.settle();
    for number in 0..100 {
        here.say(&format!("PUB work 3\r\n{number:03}"));
    }
    for number in 0..100 {
        here.expect(format!("MSG work 1 3\r\n{number:03}\r\n"));
    }
    joined.settle();
    there.sync();
}

fn a_group_over_there_gets_what_nobody_here_takes(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    let mut other = joined.hub.client();
    there.say("SUB work q 1\r\nSUB work 2");
    other.say("SUB work q 1\r\nSUB work r 3");
    there.sync();
    other.sync();
    here.sync();
    joined.settle();
    for _ in 0..100 {
        here.say("PUB work 1\r\nx");
    }
    let mut counts = [0; 4];
    // Looked at again: what another client publishes, as `settle` does, may overtake.
    wait_until("everything is there", || {
        for wire in [&mut there, &mut other] {
            sids_until_pong(wire).into_iter().for_each(|sid| counts[sid] += 1);
        }
        counts.iter().sum::<usize>() >= 300
    });
    joined.settle();
    assert_eq!(counts, [0, 100, 100, 100]);
}

/// The subscriptions for which messages come before the answer to a `PING`.
fn sids_until_pong(wire: &mut Wire) -> Vec<usize> {
    wire.say("PING");
    let mut sids = Vec::new();
    loop {
        let line = wire.line();
        if line == "PONG" {
            return sids;
        }
        let sid = line.strip_prefix("MSG ").and_then(|rest| rest.split(' ').nth(1));
        sids.extend(sid.map(|sid| sid.parse::<usize>().unwrap()));
    }
}

fn the_hub_serves_its_own_members_first(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    here.say("SUB work q 1\r\nSUB work p 2\r\nSUB work p 3");
    there.say("SUB work q 1");
    there.sync();
    here.sync();
    joined.settle();
    for _ in 0..50 {
        there.say("PUB work 1\r\nx");
    }
    for _ in 0..50 {
        there.expect("MSG work 1 1\r\nx\r\n");
    }
    joined.settle();
    let mut taken = 0;
    here.say("PING");
    loop {
        match here.line() {
            line if line.starts_with("MSG work 2") || line.starts_with("MSG work 3") => taken += 1,
            line if line == "PONG" => break,
            line => assert!(!line.starts_with("MSG"), "{line}"),
        }
    }
    assert_eq!(taken, 50, "one member of the group that is here alone gets each");
}

fn two_servers_are_one(program: &Path) {
    let hub = Hub::start(program, &HubSettings::default());
    let (one, other) = (fanfare(&[&hub], &[]), fanfare(&[&hub], &[]));
    let (mut one, mut other) = (one_of(&one), one_of(&other));
    other.say("SUB x 1\r\nSUB work q 2");
    other.sync();
    wait_until("interest gets from one to the other", || is_taken(&mut one, "x"));
    other.expect("MSG x 1 _INBOX.here 0\r\n\r\n");
    wait_until("and that of groups", || is_taken(&mut one, "work"));
    other.expect("MSG work 2 _INBOX.here 0\r\n\r\n");
    one.say("PUB x 2\r\nhi\r\nPUB work 1\r\nw");
    other.expect("MSG x 1 2\r\nhi\r\nMSG work 2 1\r\nw\r\n");
    // A member on either side: the publisher's own is served.
    one.say("SUB work q 2");
    one.sync();
    one.say("PUB work 1\r\nw");
    one.expect("MSG work 2 1\r\nw\r\n");
    other.sync();
}

/// Two clusters of a hub each, joined by gateways, each with a server.
fn a_super_cluster_is_one(program: &Path) {
    let [a, b] = [own_address(), own_address()];
    let hub = |name: &str, listen: SocketAddr, other: (&str, SocketAddr)| {
        let remote = format!("{{ name: {}, url: \"nats://{}\" }}", other.0, other.1);
        let lines = format!(
            "server_name: {name}\nsystem_account: S\n\
             accounts {{ S {{}}, A {{ users: [{{ user: a, password: pw }}] }} }}\n\
             gateway {{ name: {name}, listen: \"{listen}\", gateways: [{remote}] }}\n"
        );
        Hub::start(program, &HubSettings { lines, ..HubSettings::default() })
    };
    let (hub_a, hub_b) = (hub("A", a, ("B", b)), hub("B", b, ("A", a)));
    let of = |hub: &Hub| fanfare_at(&format!("nats://a:pw@{}", hub.leafnodes), &[]);
    let (one, other) = (of(&hub_a), of(&hub_b));
    let (mut one, mut other) = (one_of(&one), one_of(&other));
    one.say("SUB in.one 1\r\nSUB _INBOX.one 2");
    other.say("SUB in.other 1\r\nSUB _INBOX.other 2");
    // Each gateway has a connection of its own, so interest has to pass both ways.
    wait_until("interest gets to one", || is_taken(&mut one, "in.other"));
    reply_subject(&mut other, "in.other");
    wait_until("and to the other", || is_taken(&mut other, "in.one"));
    reply_subject(&mut one, "in.one");
    for (name, asking, answering) in [("other", 0, 1), ("one", 1, 0)] {
        let wires = [&mut one, &mut other];
        let inbox = ["one", "other"][asking];
        wires[asking].say(&format!("PUB in.{name} _INBOX.{inbox} 0\r\n"));
        // It leads back through the gateways.
        let reply = reply_subject(wires[answering], &format!("in.{name}"));
        wires[answering].say(&format!("PUB {reply} 1\r\na"));
        wires[asking].expect(format!("MSG _INBOX.{inbox} 2 1\r\na\r\n"));
    }
}

/// Receives an empty request. Gives its reply subject.
fn reply_subject(wire: &mut Wire, subject: &str) -> String {
    wire.expect(format!("MSG {subject} 1 "));
    let line = wire.line();
    wire.expect("\r\n");
    line.strip_suffix(" 0").unwrap().to_owned()
}

fn one_of(server: &testkit::nats::server::Server) -> Wire {
    let mut client = server.with_headers();
    client.say("SUB _INBOX.here 9");
    client.sync();
    client
}

fn home_subjects_stay_at_home(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB chat.> 1\r\nSUB fanfare.> 2\r\nSUB > 3");
    here.say("SUB chat.room.lobby 1\r\nSUB fanfare.x 2");
    there.sync();
    here.sync();
    joined.settle();
    here.say("PUB chat.room.lobby 1\r\nx\r\nPUB fanfare.x 1\r\nx\r\nPUB open 1\r\nx");
    here.expect("MSG chat.room.lobby 1 1\r\nx\r\nMSG fanfare.x 2 1\r\nx\r\n");
    while there.line() != "MSG open 3 1" {}
    there.say("PUB chat.room.lobby 1\r\ny\r\nPUB fanfare.x 1\r\ny");
    there.say("PING");
    while there.line() != "PONG" {}
    joined.settle();
    here.sync();
}

fn shared_subjects_pass(program: &Path) {
    let flags = ["--cluster-share", "chat.room.lobby,push.group.*"];
    let mut joined = Joined::with(program, &HubSettings::default(), &flags);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB chat.> 1");
    here.say("SUB chat.room.* 1");
    there.sync();
    here.sync();
    joined.settle();
    here.say("PUB chat.room.other 1\r\nx\r\nPUB chat.room.lobby 1\r\nx");
    there.expect("MSG chat.room.lobby 1 1\r\nx\r\n");
    here.expect("MSG chat.room.other 1 1\r\nx\r\nMSG chat.room.lobby 1 1\r\nx\r\n");
    there.say("PUB chat.room.other 1\r\ny\r\nPUB chat.room.lobby 1\r\ny");
    here.expect("MSG chat.room.lobby 1 1\r\ny\r\n");
    here.sync();
}

fn only_what_is_exported_leaves(program: &Path) {
    let flags = ["--cluster-export", "a.>,up,_INBOX.>", "--cluster-import", "b.>,down"];
    let mut joined = Joined::with(program, &HubSettings::default(), &flags);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB a.x 1\r\nSUB b.x 2");
    here.say("SUB a.x 1\r\nSUB b.x 2");
    there.sync();
    here.sync();
    joined.settle();
    here.say("PUB b.x 1\r\nh\r\nPUB a.x 1\r\nh");
    there.expect("MSG a.x 1 1\r\nh\r\n");
    here.expect("MSG b.x 2 1\r\nh\r\nMSG a.x 1 1\r\nh\r\n");
    there.say("PUB a.x 1\r\nt\r\nPUB b.x 1\r\nt");
    here.expect("MSG b.x 2 1\r\nt\r\n");
    here.sync();
}

fn a_message_for_many_leaves_once(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB a.* 1\r\nSUB *.b 2\r\nSUB a.b 3\r\nSUB a.b q 4");
    there.sync();
    joined.settle();
    here.say("PUB a.b 1\r\nx");
    let mut sids = Vec::new();
    wait_until("all have it", || {
        sids.extend(sids_until_pong(&mut there));
        sids.len() >= 4
    });
    joined.settle();
    sids.extend(sids_until_pong(&mut there));
    sids.sort();
    assert_eq!(sids, [1, 2, 3, 4]);
}

fn a_receipt_says_what_left(program: &Path) {
    let mut joined = Joined::new(program);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    let mut subscriber = joined.fanfare.with_headers();
    there.say("SUB a 1\r\nSUB a.* 2");
    subscriber.say("SUB a 1");
    here.say("SUB _INBOX.me.> 3");
    there.sync();
    subscriber.sync();
    here.sync();
    joined.settle();
    let mut receipt = |subject: &str| {
        let headers = "NATS/1.0\r\nFanfare-Receipt: _INBOX.me.r\r\n\r\n";
        let (size, total) = (headers.len(), headers.len() + 1);
        here.say(&format!("HPUB {subject} {size} {total}\r\n{headers}x"));
        here.expect("MSG _INBOX.me.r 3 9\r\n");
        here.line()
    };
    assert_eq!(receipt("a"), "2/2/0/0/1");
    assert_eq!(receipt("a.b"), "1/1/0/0/1");
    assert_eq!(receipt("b"), "0/0/0/0/0");
    // Nobody else is told.
    subscriber.expect("HMSG a 1 ");
    there.expect("HMSG a ");
    drop(joined.hub);
    wait_until("nobody is there", || receipt("a.b") == "0/0/0/0/0");
    assert_eq!(receipt("a"), "1/1/0/0/0");
}

fn a_link_can_be_looked_at(program: &Path) {
    let admin = own_address();
    let flags = ["--admin", &admin.to_string()];
    let mut joined = Joined::with(program, &HubSettings::default(), &flags);
    let mut here = joined.fanfare.with_headers();
    here.say("SUB a 1\r\nSUB a q 2");
    here.sync();
    joined.settle();
    let page = |path| page(admin, path);
    let leafs = page("/leafz");
    let leaf = &leafs["leafs"][0];
    assert_eq!((&leafs["leafnodes"], &leaf["name"]), (&1.into(), &"hub".into()));
    assert_eq!((&leaf["cluster_joined"], &leaf["lang"]), (&1.into(), &"nats-server".into()));
    // What the test subscribes to: these two, and two of its own.
    assert_eq!(leaf["cluster_interest_out"], 4);
    assert_eq!(page("/varz")["leafnodes"], 1);
}
