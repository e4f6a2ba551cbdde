//! What gets a `-ERR` and keeps the connection, without any setting.

use testkit::nats::server::Server;
use testkit::nats::settings::Settings;

rules!(Settings::default();
    a_malformed_subject_of_a_subscription,
    a_malformed_subscription_gets_no_ok,
    a_publish_to_a_pattern_when_pedantic_is_delivered_all_the_same,
    pedantic_unless_connect_says_otherwise,
    an_empty_token_when_pedantic,
    stars_within_a_token_are_no_fault,
);

const INVALID_SUBJECT: &str = "-ERR 'Invalid Subject'\r\n";
const INVALID_PUBLISH_SUBJECT: &str = "-ERR 'Invalid Publish Subject'\r\n";

fn a_malformed_subject_of_a_subscription(server: Server) {
    for pedantic in [true, false] {
        let mut wire = server.client(&format!(r#""verbose":false,"pedantic":{pedantic}"#));
        for subject in ["a..b", ".a", "a.", "a.>.b", "..", "."] {
            wire.say(&format!("SUB {subject} 1"));
            wire.expect(INVALID_SUBJECT);
        }
        wire.send("SUB a 1\r\nPUB a 1\r\nx\r\n");
        wire.expect("MSG a 1 1\r\nx\r\n");
        wire.sync();
    }
}

fn a_malformed_subscription_gets_no_ok(server: Server) {
    let mut wire = server.connect();
    wire.send("CONNECT {\"verbose\":true}\r\nSUB a..b 1\r\nSUB a 1\r\n");
    wire.expect("+OK\r\n-ERR 'Invalid Subject'\r\n+OK\r\n");
    wire.sync();
}

fn a_publish_to_a_pattern_when_pedantic_is_delivered_all_the_same(server: Server) {
    let mut wire = server.client(r#""verbose":false,"pedantic":true"#);
    wire.send("SUB a.* 1\r\nPUB a.* 1\r\nx\r\n");
    wire.expect(INVALID_PUBLISH_SUBJECT);
    wire.expect("MSG a.* 1 1\r\nx\r\n");
    wire.send("SUB b.> 2\r\nPUB b.> 1\r\ny\r\n");
    wire.expect(INVALID_PUBLISH_SUBJECT);
    wire.expect("MSG b.> 2 1\r\ny\r\n");
    wire.sync();
}

fn pedantic_unless_connect_says_otherwise(server: Server) {
    let mut silent = server.connect();
    silent.send("PUB a.* 0\r\n\r\n");
    silent.expect("-ERR 'Invalid Publish Subject'\r\n");
    silent.expect("+OK\r\n");
    let mut unsaid = server.client(r#""verbose":false"#);
    unsaid.send("PUB a.* 0\r\n\r\n");
    unsaid.expect(INVALID_PUBLISH_SUBJECT);
    let mut not = server.quiet();
    not.send("PUB a.* 0\r\n\r\n");
    not.sync();
}

fn an_empty_token_when_pedantic(server: Server) {
    let mut wire = server.client(r#""verbose":false,"pedantic":true"#);
    wire.send("SUB > 1\r\n");
    for subject in ["a..b", ".a", "a."] {
        wire.send(format!("PUB {subject} 1\r\nx\r\n"));
        wire.expect(INVALID_PUBLISH_SUBJECT);
        wire.sync();
    }
}

fn stars_within_a_token_are_no_fault(server: Server) {
    let mut wire = server.client(r#""verbose":false,"pedantic":true"#);
    wire.send("SUB fo* 1\r\nSUB fo> 2\r\nPUB fo* 1\r\nx\r\nPUB fo> 1\r\ny\r\nPUB foo 1\r\nz\r\n");
    wire.expect("MSG fo* 1 1\r\nx\r\nMSG fo> 2 1\r\ny\r\n");
    wire.sync();
}
