//! Hubs that go, come back, refuse or forbid.

use crate::joined::{Joined, fanfare, fanfare_at, figure, is_taken};
use rustix::process::Signal;
use std::path::Path;
use testkit::nats::hub::{Hub, HubSettings};
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;
use testkit::ports::own_address;

crate::with_hubs!(
    a_hub_that_was_killed_is_joined_again,
    another_hub_of_the_cluster_is_joined,
    a_subscriber_that_does_not_read_holds_up_nobody,
    forbidden_messages_do_not_end_the_link,
    a_wrong_password_is_tried_again_and_the_right_one_joins,
    a_message_too_large_for_the_hub_does_not_end_the_link,
    a_hub_that_wants_a_later_version_says_so,
    a_name_that_is_used_twice_is_not_fought_over,
    a_hub_that_is_shut_down_gently_is_left_for_another,
    numbered_messages_lost_with_a_killed_hub_are_counted,
);

/// What comes first over a new link says that messages may be missing.
const X_AFTER_A_GAP: &str = "HMSG a 2 32 33\r\nNATS/1.0\r\nFanfare-Missed: 0+\r\n\r\nx\r\n";

fn a_hub_that_was_killed_is_joined_again(program: &Path) {
    let ports = Some((own_address().port(), own_address().port()));
    let settings = HubSettings { ports, ..HubSettings::default() };
    let mut joined = Joined::with(program, &settings, &[]);
    let mut here = joined.fanfare.with_headers();
    here.say("SUB _INBOX.here 1\r\nSUB a 2");
    here.sync();
    for round in 0..3 {
        joined.settle();
        let mut there = joined.hub.client();
        there.say("SUB b 1");
        there.say("PUB a 1\r\nx");
        here.expect(if round == 0 { "MSG a 2 1\r\nx\r\n" } else { X_AFTER_A_GAP });
        joined.settle();
        here.say("PUB b 1\r\ny");
        there.expect("MSG b 1 1\r\ny\r\n");
        joined = joined.without_hub(program, &settings, || {
            wait_until("nobody is there", || !is_taken(&mut here, "b"));
        });
    }
}

fn another_hub_of_the_cluster_is_joined(program: &Path) {
    let [first, second] = two_hubs(program, "");
    // It is told of the first alone.
    let admin = own_address();
    let server = fanfare(&[&first], &["--admin", &admin.to_string()]);
    let joined = Joined::of(first, server);
    let mut here = joined.fanfare.with_headers();
    here.say("SUB _INBOX.here 1\r\nSUB a 2");
    here.sync();
    let mut there = second.client();
    there.say("SUB b 1");
    there.sync();
    wait_until("the second hub's interest gets here", || is_taken(&mut here, "b"));
    there.expect("MSG b 1 _INBOX.here 0\r\n\r\n");
    let Joined { hub, .. } = joined;
    drop(hub);
    // Until it is noticed that the first is gone, what is published goes to the first.
    wait_until("the link is made with the second hub", || figure(admin, "joins_total") == 2);
    wait_until("the second hub's interest gets here again", || is_taken(&mut here, "b"));
    there.expect("MSG b 1 _INBOX.here 0\r\n\r\n");
    there.say("PUB a 1\r\nx");
    here.expect(X_AFTER_A_GAP);
}

/// A cluster, with more settings of the first.
fn two_hubs(program: &Path, more: &str) -> [Hub; 2] {
    let route = own_address();
    let hub = |lines: String| Hub::start(program, &HubSettings { lines, ..HubSettings::default() });
    let first = hub(format!("cluster {{ name: c, listen: \"{route}\" }}\n{more}"));
    let routes = format!("routes: [\"nats://{route}\"]");
    let second =
        format!("cluster {{ name: c, listen: \"127.0.0.1:-1\", {routes} }}\nserver_name: hub2\n");
    [first, hub(second)]
}

fn a_subscriber_that_does_not_read_holds_up_nobody(program: &Path) {
    let flags = ["--nats-queue-bytes", "2000000"];
    let mut joined = Joined::with(program, &HubSettings::default(), &flags);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    let mut stuck = joined.fanfare.with_headers();
    stuck.say("SUB a 1");
    stuck.sync();
    here.say("SUB a 1");
    here.sync();
    joined.settle();
    let payload = "x".repeat(10_000);
    let (publish, delivered) =
        (format!("PUB a 10000\r\n{payload}"), format!("MSG a 1 10000\r\n{payload}\r\n"));
    // More than its queue and all buffers of the kernel hold.
    for _ in 0..40 {
        (0..50).for_each(|_| there.say(&publish));
        (0..50).for_each(|_| here.expect(&delivered));
    }
    let (_, last_words) = stuck.drain();
    assert!(last_words.contains("Slow Consumer"), "{last_words}");
}

fn forbidden_messages_do_not_end_the_link(program: &Path) {
    let settings = HubSettings {
        lines: r#"authorization { users: [
            { user: leaf, password: pw, permissions: {
                publish: { allow: ["up", "may.>", "_INBOX.>"], deny: ["may.not"] },
                subscribe: { allow: ["down", "get.>", "_INBOX.>"] } } },
            { user: all, password: pw } ] }
            no_auth_user: all"#
            .to_owned(),
        ..HubSettings::default()
    };
    let hub = Hub::start(program, &settings);
    let admin = own_address();
    let address = format!("nats://leaf:pw@{}", hub.leafnodes);
    let server = fanfare_at(&address, &["--admin", &admin.to_string()]);
    let mut joined = Joined::of(hub, server);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB may.> 1\r\nSUB no.> 2");
    here.say("SUB get.x 1\r\nSUB no.y 2\r\nSUB > 3");
    there.sync();
    here.sync();
    joined.settle();
    here.say("PUB no.x 1\r\nx\r\nPUB may.not 1\r\nx\r\nPUB may.x 1\r\nx");
    there.expect("MSG may.x 1 1\r\nx\r\n");
    there.say("PUB no.y 1\r\nt\r\nPUB get.x 1\r\nt");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let line = here.line();
        assert!(line != "MSG no.y 2 1" || !seen.contains(&"t".to_owned()), "{line}");
        if line.starts_with("MSG get.x") {
            seen.push(line);
        }
    }
    joined.settle();
    assert_eq!(figure(admin, "ends_total"), 0);
    assert_eq!(figure(admin, "joins_total"), 1);
}

fn a_wrong_password_is_tried_again_and_the_right_one_joins(program: &Path) {
    let settings = HubSettings {
        lines: "authorization { users: [ { user: u, password: \"p w\" } ] }".to_owned(),
        ..HubSettings::default()
    };
    let hub = Hub::start(program, &settings);
    let admin = own_address();
    let admin_flags = ["--admin", &admin.to_string()];
    let wrong = fanfare_at(&format!("nats://u:wrong@{}", hub.leafnodes), &admin_flags);
    wait_until("it was tried twice", || figure(admin, "ends_total") >= 2);
    assert_eq!(figure(admin, "joins_total"), 0);
    drop(wrong);
    let admin = own_address();
    let admin_flags = ["--admin", &admin.to_string()];
    let right = fanfare_at(&format!("nats://u:p%20w@{}", hub.leafnodes), &admin_flags);
    wait_until("the right one joins", || figure(admin, "joins_total") == 1);
    drop(right);
    let admin = own_address();
    let flags = ["--admin", &admin.to_string(), "--cluster-user", "u", "--cluster-password", "p w"];
    let _right = fanfare_at(&format!("nats://{}", hub.leafnodes), &flags);
    wait_until("and from the settings too", || figure(admin, "joins_total") == 1);
}

fn a_message_too_large_for_the_hub_does_not_end_the_link(program: &Path) {
    let settings = HubSettings { lines: "max_payload: 1000".to_owned(), ..HubSettings::default() };
    let mut joined = Joined::with(program, &settings, &[]);
    let (mut there, mut here) = (joined.hub.client(), joined.fanfare.with_headers());
    there.say("SUB a 1");
    there.sync();
    joined.settle();
    here.say(&format!("PUB a 1001\r\n{}\r\nPUB a 1\r\nx", "x".repeat(1_001)));
    there.expect("MSG a 1 1\r\nx\r\n");
}

fn a_hub_that_wants_a_later_version_says_so(program: &Path) {
    let settings =
        HubSettings { leafnodes: "min_version: \"2.9.11\"".to_owned(), ..HubSettings::default() };
    let hub = Hub::start(program, &settings);
    let admin = own_address();
    let _server = fanfare(&[&hub], &["--admin", &admin.to_string()]);
    wait_until("it is refused", || figure(admin, "ends_total") >= 1);
}

fn a_name_that_is_used_twice_is_not_fought_over(program: &Path) {
    let hub = Hub::start(program, &HubSettings::default());
    let admins = [own_address(), own_address()];
    let start = |admin: std::net::SocketAddr| {
        fanfare(&[&hub], &["--admin", &admin.to_string(), "--cluster-name", "same"])
    };
    let _one = start(admins[0]);
    wait_until("the first joins", || figure(admins[0], "joins_total") == 1);
    let _other = start(admins[1]);
    wait_until("the second joins", || figure(admins[1], "joins_total") == 1);
    wait_until("the first is thrown out", || figure(admins[0], "ends_total") == 1);
    assert_eq!(figure(admins[1], "ends_total"), 0);
}

fn a_hub_that_is_shut_down_gently_is_left_for_another(program: &Path) {
    let [first, second] =
        two_hubs(program, "lame_duck_grace_period: \"100ms\"\nlame_duck_duration: \"30s\"\n");
    let admin = own_address();
    let server = fanfare(&[&first], &["--admin", &admin.to_string()]);
    let mut here = server.with_headers();
    here.say("SUB _INBOX.here 1");
    let mut there = second.client();
    there.say("SUB b 1");
    there.sync();
    wait_until("the second hub's interest gets here", || is_taken(&mut here, "b"));
    first.signal(Signal::USR2);
    wait_until("the link is made with the second hub", || figure(admin, "joins_total") == 2);
    wait_until("the second hub's interest gets here again", || is_taken(&mut here, "b"));
}

fn numbered_messages_lost_with_a_killed_hub_are_counted(program: &Path) {
    let [first, second] = two_hubs(program, "");
    let admin = own_address();
    let flags = ["--cluster-sequence", "n.>", "--admin", &admin.to_string()];
    let (near, far) = (fanfare(&[&first], &flags[..2]), fanfare(&[&second], &flags));
    let (mut here, mut there) = (near.with_headers(), far.with_headers());
    here.say("SUB _INBOX.here 1");
    there.say("SUB n.> 1");
    let mut ready = far.with_headers();
    ready.say("SUB ready 1");
    there.sync();
    ready.sync();
    let mut sent = 0;
    let mut publish = |here: &mut Wire| {
        sent += 1;
        here.say(&format!("PUB n.a 8\r\n{sent:08}"));
    };
    wait_until("the servers hear each other", || is_taken(&mut here, "ready"));
    publish(&mut here);
    there.expect("MSG n.a 1 8\r\n00000001\r\n");
    drop(second);
    (0..100).for_each(|_| publish(&mut here));
    wait_until("the other hub is joined", || {
        publish(&mut here);
        figure(admin, "joins_total") >= 2
    });
    wait_until("the servers hear each other again", || is_taken(&mut here, "ready"));
    publish(&mut here);
    // Whatever came is whole, in order, and says how many are missing before it.
    let (mut last, mut told) = (1, 0);
    while last < sent {
        let line = there.line();
        if let Some(missed) = line.strip_prefix("Fanfare-Missed: ") {
            told += missed.parse::<u64>().unwrap();
        } else if let Ok(number) = line.parse::<u64>() {
            assert_eq!(number, last + 1 + std::mem::take(&mut told));
            last = number;
        }
    }
}
