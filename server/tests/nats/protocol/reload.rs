//! What a reload means for clients that are connected.

use rustix::process::Signal;
use testkit::nats::server::Server;
use testkit::nats::settings::{Permission, Settings, User};
use testkit::nats::wire::Wire;

rules!(settings();
    a_client_whose_user_stays_stays,
    a_client_whose_user_is_gone_or_moved_is_disconnected,
    a_client_whose_password_is_another_has_to_leave,
    new_permissions_hold_at_once,
    newly_denied_subjects_are_kept_from_wider_subscriptions,
);

fn settings() -> Settings {
    let users = vec![
        User { publish: Some(ALL_OF_A), subscribe: Some(ALL_OF_A), ..User::of("A", "a", "p") },
        User::of("A", "aa", "p"),
        User::of("B", "b", "p"),
    ];
    Settings { newest: true, users, ..Settings::default() }
}

const ALL_OF_A: Permission = Permission { allow: &["a.>", "inbox"], deny: &[] };

/// The server is told to take over these users. When it has, its clients are told.
fn reload(server: &Server, users: &[User]) {
    server.rewrite(&Settings { users: users.to_vec(), ..settings() });
    server.signal(Signal::HUP);
}

fn client(server: &Server, name: &str) -> Wire {
    let options = r#""verbose":false,"pedantic":false"#;
    server.client(&format!(r#"{options},"user":"{name}","pass":"p""#))
}

fn a_client_whose_user_stays_stays(server: Server) {
    let [mut present, mut gone] = ["a", "aa"].map(|name| client(&server, name));
    present.send("SUB a.x 1\r\n");
    present.sync();
    reload(&server, &settings().users[..1]);
    gone.expect_closed();
    present.send("PUB a.x 1\r\nx\r\n");
    present.expect("MSG a.x 1 1\r\nx\r\n");
    present.sync();
}

fn a_client_whose_user_is_gone_or_moved_is_disconnected(server: Server) {
    let [mut gone, mut moved] = ["a", "aa"].map(|name| client(&server, name));
    reload(&server, &[User::of("B", "aa", "p")]);
    for client in [&mut gone, &mut moved] {
        client.expect_closed();
    }
}

fn a_client_whose_password_is_another_has_to_leave(server: Server) {
    let mut present = client(&server, "a");
    reload(&server, &[User::of("A", "a", "q")]);
    present.expect_last_words("-ERR 'Authorization Violation'\r\n");
}

fn new_permissions_hold_at_once(server: Server) {
    let [mut present, mut other] = ["a", "aa"].map(|name| client(&server, name));
    present.send("SUB a.> 1\r\nSUB inbox 2\r\n");
    present.sync();
    let inbox = Permission { allow: &["inbox"], deny: &[] };
    let rules =
        User { publish: Some(inbox.clone()), subscribe: Some(inbox), ..User::of("A", "a", "p") };
    reload(&server, &[rules, User::of("A", "aa", "p")]);
    present.expect("-ERR 'Permissions Violation for Subscription to \"a.>\" (sid \"1\")'\r\n");
    present.send("PUB a.x 1\r\nx\r\nSUB a.q group 1\r\n");
    present.expect("-ERR 'Permissions Violation for Publish to \"a.x\"'\r\n");
    let violation = "-ERR 'Permissions Violation for Subscription to \"a.q\"";
    present.expect(format!("{violation} using queue \"group\"'\r\n"));
    other.send("PUB a.x 1\r\nx\r\nPUB inbox 1\r\ny\r\n");
    other.sync();
    present.expect("MSG inbox 2 1\r\ny\r\n");
    // A subscription in a queue group that is no longer permitted is told with its group.
    present.send("SUB inbox group 3\r\n");
    present.sync();
    let nothing = Permission { allow: &["nothing"], deny: &[] };
    let rules = User { subscribe: Some(nothing), ..User::of("A", "a", "p") };
    reload(&server, &[rules, User::of("A", "aa", "p")]);
    let mut lines = [present.line(), present.line()];
    lines.sort();
    assert_eq!(
        lines,
        [
            "-ERR 'Permissions Violation for Subscription to \"inbox\" (sid \"2\")'",
            "-ERR 'Permissions Violation for Subscription to \"inbox\" using queue \"group\" \
             (sid \"3\")'",
        ]
    );
    present.send("PUB a.x 1\r\nx\r\n");
    present.sync();
}

fn newly_denied_subjects_are_kept_from_wider_subscriptions(server: Server) {
    let [mut present, mut other] = ["a", "aa"].map(|name| client(&server, name));
    present.send("SUB a.> 1\r\nSUB a.secret 2\r\nSUB a.> group 3\r\n");
    present.sync();
    let subscribe = Permission { allow: &["a.>"], deny: &["a.secret"] };
    let rules = User { subscribe: Some(subscribe), ..User::of("A", "a", "p") };
    reload(&server, &[rules, User::of("A", "aa", "p")]);
    // Once it is told this, the rules hold.
    present.expect("-ERR 'Permissions Violation for Subscription to \"a.secret\" (sid \"2\")'\r\n");
    other.send("PUB a.secret 1\r\nx\r\nPUB a.open 1\r\ny\r\n");
    other.sync();
    let mut lines = [(); 4].map(|()| present.line());
    lines.sort();
    assert_eq!(lines, ["MSG a.open 1 1", "MSG a.open 3 1", "y", "y"]);
    present.sync();
}
