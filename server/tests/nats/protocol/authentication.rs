//! Which clients may connect, and what they may do.

use testkit::nats::server::Server;
use testkit::nats::settings::{Permission, Settings, User};

rules!(Settings { user: Some(("alice", "secret")), ..Settings::default() };
    info_says_that_authentication_is_required,
    the_right_password,
    wrong_credentials,
    anything_before_connect,
    a_second_connect_with_a_wrong_password,
);

rules!(Settings { token: Some("s3cret"), ..Settings::default() }; a_token);

rules!(Settings {
        user: Some(("alice", "secret")),
        auth_timeout_ms: Some(2_000),
        ..Settings::default()
    };
    not_authenticated_in_time,
);

rules!(Settings { users: users(), ..Settings::default() };
    several_users,
    a_publish_that_is_not_allowed,
    a_publish_that_is_denied,
    a_subscription_that_is_not_allowed,
    a_subscription_that_is_denied,
    a_denied_message_does_not_come_through_a_wider_pattern,
    a_denied_message_goes_to_another_of_the_group,
    a_violation_gets_no_ok,
);

const REFUSED: &str = "-ERR 'Authorization Violation'\r\n";

pub fn users() -> Vec<User> {
    vec![
        User {
            publish: Some(Permission { allow: &["foo", "x.>"], deny: &["x.no"] }),
            subscribe: Some(Permission { allow: &["bar", "pub.*"], deny: &[] }),
            ..User::new("narrow", "n")
        },
        User {
            publish: Some(Permission { allow: &[], deny: &["no.>"] }),
            subscribe: Some(Permission { allow: &[], deny: &["secret.>"] }),
            ..User::new("wide", "w")
        },
        User::new("free", "f"),
    ]
}

fn login(user: &str, password: &str) -> String {
    format!(
        r#""verbose":false,"pedantic":false,"headers":true,"user":"{user}","pass":"{password}""#
    )
}

fn info_says_that_authentication_is_required(server: Server) {
    assert_eq!(server.connect().info["auth_required"], true);
}

fn the_right_password(server: Server) {
    let mut wire = server.connect();
    wire.say(r#"CONNECT {"user":"alice","pass":"secret"}"#);
    wire.expect("+OK\r\n");
    wire.sync();
}

fn wrong_credentials(server: Server) {
    for options in [
        r#"{"user":"alice","pass":"Secret"}"#,
        r#"{"user":"bob","pass":"secret"}"#,
        r#"{"user":"alice"}"#,
        r#"{"auth_token":"secret"}"#,
        "{}",
    ] {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {options}"));
        wire.expect_last_words(REFUSED);
    }
}

fn anything_before_connect(server: Server) {
    for line in ["PING\r\n", "PONG\r\n", "PUB a 1\r\nx\r\n", "SUB a 1\r\n", "+OK\r\n", "NOSUCH\r\n"]
    {
        let mut wire = server.connect();
        wire.send(line);
        wire.expect_last_words(REFUSED);
    }
}

fn a_second_connect_with_a_wrong_password(server: Server) {
    let mut wire = server.client(&login("alice", "secret"));
    wire.say(r#"CONNECT {"user":"alice","pass":"wrong"}"#);
    wire.expect_last_words(REFUSED);
}

fn a_token(server: Server) {
    let mut wire = server.connect();
    assert_eq!(wire.info["auth_required"], true);
    wire.say(r#"CONNECT {"auth_token":"s3cret"}"#);
    wire.expect("+OK\r\n");
    wire.sync();
    for options in [r#"{"auth_token":"s3cre"}"#, r#"{"user":"s3cret"}"#, "{}"] {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {options}"));
        wire.expect_last_words(REFUSED);
    }
}

fn not_authenticated_in_time(server: Server) {
    server.connect().expect_last_words("-ERR 'Authentication Timeout'\r\n");
    // Whoever is in stays in: the connection below is older than one that has run into the time-out
    // meanwhile.
    let mut inside = server.client(&login("alice", "secret"));
    server.connect().expect_last_words("-ERR 'Authentication Timeout'\r\n");
    inside.sync();
}

pub fn several_users(server: Server) {
    for (user, password) in [("narrow", "n"), ("wide", "w"), ("free", "f")] {
        server.client(&login(user, password)).sync();
    }
    let mut wire = server.connect();
    wire.say(&format!("CONNECT {{{}}}", login("free", "w")));
    wire.expect_last_words(REFUSED);
}

fn a_publish_that_is_not_allowed(server: Server) {
    let (mut narrow, mut free) =
        (server.client(&login("narrow", "n")), server.client(&login("free", "f")));
    free.send("SUB > 1\r\n");
    free.sync();
    for subject in ["bar", "fooo", "x", "_INBOX.a"] {
        narrow.send(format!("PUB {subject} 1\r\nx\r\n"));
        narrow.expect(format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n"));
    }
    narrow.send("HPUB bar 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
    narrow.expect("-ERR 'Permissions Violation for Publish to \"bar\"'\r\n");
    narrow.send("PUB foo 1\r\nx\r\nPUB x.y.z 1\r\ny\r\n");
    narrow.sync();
    free.expect("MSG foo 1 1\r\nx\r\nMSG x.y.z 1 1\r\ny\r\n");
    free.sync();
}

pub fn a_publish_that_is_denied(server: Server) {
    let mut narrow = server.client(&login("narrow", "n"));
    narrow.send("PUB x.no 1\r\nx\r\n");
    narrow.expect("-ERR 'Permissions Violation for Publish to \"x.no\"'\r\n");
    let mut wide = server.client(&login("wide", "w"));
    wide.send("PUB no.more 1\r\nx\r\nSUB no 1\r\nPUB no 1\r\nx\r\n");
    wide.expect("-ERR 'Permissions Violation for Publish to \"no.more\"'\r\nMSG no 1 1\r\nx\r\n");
    wide.sync();
}

fn a_subscription_that_is_not_allowed(server: Server) {
    let mut narrow = server.client(&login("narrow", "n"));
    for subject in [">", "b*", "foo"] {
        narrow.send(format!("SUB {subject} 1\r\n"));
        narrow
            .expect(format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n"));
    }
    narrow.send("SUB foo group 1\r\n");
    narrow.expect(
        "-ERR 'Permissions Violation for Subscription to \"foo\" using queue \"group\"'\r\n",
    );
    narrow.send("SUB bar 1\r\nSUB bar group 2\r\nSUB pub.* 3\r\nSUB pub.a 4\r\n");
    narrow.sync();
}

fn a_subscription_that_is_denied(server: Server) {
    let mut wide = server.client(&login("wide", "w"));
    for subject in ["secret.a", "secret.*", "secret.>"] {
        wide.send(format!("SUB {subject} 1\r\n"));
        wide.expect(format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n"));
    }
    wide.send("SUB secret 1\r\n");
    wide.sync();
}

fn a_denied_message_does_not_come_through_a_wider_pattern(server: Server) {
    let (mut wide, mut free) =
        (server.client(&login("wide", "w")), server.client(&login("free", "f")));
    wide.send("SUB > 1\r\nSUB *.a group 2\r\n");
    wide.sync();
    free.send("PUB secret.a 1\r\nx\r\nPUB open 1\r\ny\r\n");
    free.sync();
    wide.expect("MSG open 1 1\r\ny\r\n");
    wide.sync();
}

fn a_denied_message_goes_to_another_of_the_group(server: Server) {
    let (mut wide, mut free) =
        (server.client(&login("wide", "w")), server.client(&login("free", "f")));
    wide.send("SUB > group 1\r\nSUB r 2\r\nPUB secret.a r 0\r\n\r\n");
    wide.sync();
    free.send("SUB secret.* group 1\r\n");
    free.sync();
    let mut publisher = server.client(&login("free", "f"));
    for _ in 0..9 {
        publisher.send("PUB secret.a 1\r\nx\r\n");
    }
    publisher.sync();
    wide.sync();
    free.expect("MSG secret.a 1 1\r\nx\r\n".repeat(9));
    free.sync();
}

fn a_violation_gets_no_ok(server: Server) {
    let mut wire = server.connect();
    wire.send(
        "CONNECT {\"user\":\"narrow\",\"pass\":\"n\"}\r\nPUB bar 1\r\nx\r\nSUB foo 1\r\n\
               SUB bar 2\r\n",
    );
    wire.expect("+OK\r\n-ERR 'Permissions Violation for Publish to \"bar\"'\r\n");
    wire.expect("-ERR 'Permissions Violation for Subscription to \"foo\"'\r\n+OK\r\n");
    wire.sync();
}
