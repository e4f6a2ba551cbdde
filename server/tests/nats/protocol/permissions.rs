//! What users may do beyond plain patterns: answers to requests, queue groups, denials alone.

use serde_json::{Map, Value, json};
use testkit::nats::server::Server;
use testkit::nats::settings::{Permission, Settings, User};
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;

rules!(settings();
    a_request_may_be_answered_as_often_as_is_allowed,
    a_late_answer_is_not_permitted,
    a_client_that_may_answer_may_publish_nothing_else,
    a_queue_group_may_be_demanded,
    a_queue_group_may_be_denied,
    subjects_that_are_not_denied_are_allowed,
    an_inbox_may_be_denied_among_others,
);

mod newest {
    use super::*;

    rules!(Settings { newest: true, ..settings() };
        a_client_asks_for_its_rights,
    );
}

const MINUTE_MS: u64 = 60_000;

fn settings() -> Settings {
    let rules = |allow, deny| Some(Permission { allow, deny });
    let responder = |name, responses| User {
        subscribe: rules(&["ask"], &[]),
        responses: Some(responses),
        ..User::new(name, "p")
    };
    let users = vec![
        User::new("all", "p"),
        responder("twice", (2, MINUTE_MS)),
        responder("late", (1_000_000, 1)),
        User {
            subscribe: rules(&["jobs q", "n.* v1.>", "z"], &["z bad", "k"]),
            ..User::new("groups", "p")
        },
        User {
            subscribe: rules(&[], &["m qq", "foo"]),
            publish: rules(&[], &["nope"]),
            ..User::new("deny", "p")
        },
        User {
            subscribe: rules(&[], &["_INBOX.a.5", "_INBOX.a.6"]),
            publish: rules(&[], &["_INBOX.a.13"]),
            ..User::new("inboxes", "p")
        },
    ];
    Settings { users, ..Settings::default() }
}

fn client(server: &Server, name: &str) -> Wire {
    server.client(&format!(r#""verbose":false,"pedantic":false,"user":"{name}","pass":"p""#))
}

fn violation(of: &str, what: &str) -> String {
    format!("-ERR 'Permissions Violation for {of} to {what}'\r\n")
}

/// Somebody asks, and `name` is sent the question.
fn asked(server: &Server, name: &str) -> [Wire; 2] {
    let [mut asking, mut answering] = [client(server, "all"), client(server, name)];
    answering.send("SUB ask 1\r\n");
    answering.sync();
    asking.send("SUB r.* 1\r\nPUB ask r.1 0\r\n\r\n");
    asking.sync();
    answering.expect("MSG ask 1 r.1 0\r\n\r\n");
    [asking, answering]
}

fn a_request_may_be_answered_as_often_as_is_allowed(server: Server) {
    let [mut asking, mut answering] = asked(&server, "twice");
    answering.send("PUB r.1 1\r\na\r\nPUB r.1 1\r\nb\r\nPUB r.1 1\r\nc\r\n");
    asking.expect("MSG r.1 1 1\r\na\r\nMSG r.1 1 1\r\nb\r\n");
    answering.expect(violation("Publish", "\"r.1\""));
    answering.send("PUB r.2 0\r\n\r\n");
    answering.expect(violation("Publish", "\"r.2\""));
    answering.sync();
    asking.sync();
}

fn a_late_answer_is_not_permitted(server: Server) {
    let [_, mut answering] = asked(&server, "late");
    // Far more answers are allowed than come within a millisecond.
    wait_until("it is too late", || {
        answering.send("PUB r.1 1\r\nx\r\nPING\r\n");
        match answering.line().as_str() {
            "PONG" => false,
            line => {
                assert_eq!(format!("{line}\r\n"), violation("Publish", "\"r.1\""));
                answering.expect("PONG\r\n");
                true
            }
        }
    });
}

fn a_client_that_may_answer_may_publish_nothing_else(server: Server) {
    let mut wire = client(&server, "twice");
    wire.send("PUB any 0\r\n\r\n");
    wire.expect(violation("Publish", "\"any\""));
    wire.sync();
}

fn a_queue_group_may_be_demanded(server: Server) {
    let mut wire = client(&server, "groups");
    wire.send("SUB jobs q 1\r\nSUB n.a v1.x 2\r\nSUB n.* v1.x.y 3\r\nSUB z 4\r\nSUB z good 5\r\n");
    wire.sync();
    for (refused, told) in [
        ("jobs", "\"jobs\""),
        ("jobs z", "\"jobs\" using queue \"z\""),
        ("n.a v1", "\"n.a\" using queue \"v1\""),
        ("other", "\"other\""),
    ] {
        wire.say(&format!("SUB {refused} 9"));
        wire.expect(violation("Subscription", told));
    }
    wire.sync();
}

fn a_queue_group_may_be_denied(server: Server) {
    let mut wire = client(&server, "groups");
    wire.send("SUB z bad 1\r\nSUB k q 2\r\n");
    wire.expect(violation("Subscription", "\"z\" using queue \"bad\""));
    wire.expect(violation("Subscription", "\"k\" using queue \"q\""));
    let mut wire = client(&server, "deny");
    wire.send("SUB m 1\r\nSUB m q 2\r\nSUB m qq 3\r\n");
    wire.expect(violation("Subscription", "\"m\" using queue \"qq\""));
    wire.sync();
}

fn subjects_that_are_not_denied_are_allowed(server: Server) {
    let mut wire = client(&server, "deny");
    wire.send("SUB foo 1\r\nSUB > 2\r\nPUB nope 0\r\n\r\nPUB yes 0\r\n\r\n");
    wire.expect(violation("Subscription", "\"foo\""));
    wire.expect(violation("Publish", "\"nope\""));
    wire.expect("MSG yes 2 0\r\n\r\n");
    let mut other = client(&server, "all");
    other.send("PUB foo 0\r\n\r\n");
    other.sync();
    wire.sync();
}

fn an_inbox_may_be_denied_among_others(server: Server) {
    let [mut asking, mut answering] = [(); 2].map(|()| client(&server, "inboxes"));
    asking.send("SUB _INBOX.a.* 1\r\n");
    asking.sync();
    // The second time all are known.
    for _ in 0..2 {
        let answers = (1..=20).map(|number| format!("PUB _INBOX.a.{number} 1\r\nx\r\n"));
        answering.send(answers.collect::<String>());
        answering.expect(violation("Publish", "\"_INBOX.a.13\""));
        for number in (1..=20).filter(|number| ![5, 6, 13].contains(number)) {
            asking.expect(format!("MSG _INBOX.a.{number} 1 1\r\nx\r\n"));
        }
        answering.sync();
        asking.sync();
    }
}

fn a_client_asks_for_its_rights(server: Server) {
    let groups = json!({
        "publish": {},
        "subscribe": { "allow": ["jobs q", "n.* v1.>", "z"], "deny": ["k", "z bad"] },
    });
    let deny = json!({
        "publish": { "deny": ["nope"] },
        "subscribe": { "deny": ["foo", "m qq"] },
    });
    for (name, expected) in [("groups", groups), ("deny", deny), ("all", Value::Null)] {
        let mut wire = client(&server, name);
        // Not everybody may subscribe to the answer, so somebody else does.
        let mut other = client(&server, "all");
        other.send("SUB r 1\r\n");
        other.sync();
        wire.send("PUB $SYS.REQ.USER.INFO r 0\r\n\r\n");
        other.line();
        let mut answer: Value = serde_json::from_str(&other.line()).unwrap();
        let rights = answer["data"]["permissions"].take();
        assert_eq!(sorted(rights), sorted(expected), "{name}");
    }
}

/// With its lists in order: nobody promises one.
fn sorted(mut rights: Value) -> Value {
    for rules in rights.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for list in rules.as_object_mut().into_iter().flat_map(Map::values_mut) {
            list.as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
    }
    rights
}
