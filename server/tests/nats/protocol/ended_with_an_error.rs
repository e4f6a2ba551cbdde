//! What gets a `-ERR` and ends the connection, without any setting.

use testkit::nats::server::Server;
use testkit::nats::settings::Settings;

rules!(Settings::default();
    an_unknown_verb,
    a_verb_without_arguments,
    space_before_a_verb,
    a_bare_line_end,
    a_payload_that_is_not_followed_by_a_line_end,
    a_payload_that_is_shorter_than_its_size,
    a_payload_that_is_followed_by_a_line_feed_alone,
    a_client_that_sends_msg,
    a_payload_over_the_maximum_before_its_body,
    the_maximum_payload_itself_is_accepted,
    a_payload_with_headers_over_the_maximum,
    arguments_of_4096_bytes_are_accepted,
    arguments_of_4097_bytes,
    a_long_connect,
    a_long_line_without_an_end,
    a_long_line_in_pieces,
    an_account_in_connect,
    a_protocol_that_does_not_exist,
    no_responders_without_headers,
);

const UNKNOWN_OPERATION: &str = "-ERR 'Unknown Protocol Operation'\r\n";
const LONG_LINE: &str = "-ERR 'maximum control line exceeded'\r\n";
const LARGE_PAYLOAD: &str = "-ERR 'Maximum Payload Violation'\r\n";

/// On a connection of its own, this is answered by that and by the end.
#[track_caller]
fn ends(server: &Server, sent: impl AsRef<[u8]>, answer: &str) {
    let mut wire = server.quiet();
    wire.send(sent);
    wire.expect_last_words(answer);
}

fn an_unknown_verb(server: Server) {
    for line in ["FOO\r\n", "PUNG\r\n", "C\r\n", "\u{e9}\r\n", "GET / HTTP/1.1\r\n"] {
        ends(&server, line, UNKNOWN_OPERATION);
    }
}

fn a_verb_without_arguments(server: Server) {
    for line in ["PUB\r\n", "HPUB\r\n", "SUB\r\n", "UNSUB\r\n", "-ERR\r\n"] {
        ends(&server, line, UNKNOWN_OPERATION);
    }
}

fn space_before_a_verb(server: Server) {
    ends(&server, " PING\r\n", UNKNOWN_OPERATION);
    ends(&server, "\tPING\r\n", UNKNOWN_OPERATION);
}

fn a_bare_line_end(server: Server) {
    ends(&server, "\r\n", UNKNOWN_OPERATION);
    ends(&server, "\n", UNKNOWN_OPERATION);
}

fn a_payload_that_is_not_followed_by_a_line_end(server: Server) {
    ends(&server, "PUB a 2\r\nabcd\r\n", UNKNOWN_OPERATION);
    ends(&server, "PUB a 2\r\nab\rPING\r\n", UNKNOWN_OPERATION);
}

fn a_payload_that_is_shorter_than_its_size(server: Server) {
    ends(&server, "PUB a 4\r\nab\r\nPING\r\n", UNKNOWN_OPERATION);
}

fn a_payload_that_is_followed_by_a_line_feed_alone(server: Server) {
    ends(&server, "PUB a 2\r\nab\nPING\r\n", UNKNOWN_OPERATION);
}

fn a_client_that_sends_msg(server: Server) {
    ends(&server, "MSG a 1 1\r\nx\r\n", UNKNOWN_OPERATION);
    ends(&server, "HMSG a 1 1 1\r\nx\r\n", UNKNOWN_OPERATION);
}

fn a_payload_over_the_maximum_before_its_body(server: Server) {
    ends(&server, "PUB a 1048577\r\n", LARGE_PAYLOAD);
    ends(&server, "PUB a 999999999\r\n", LARGE_PAYLOAD);
}

fn the_maximum_payload_itself_is_accepted(server: Server) {
    let mut wire = server.quiet();
    let payload = "p".repeat(1 << 20);
    wire.send(format!("SUB a 1\r\nPUB a 1048576\r\n{payload}\r\n"));
    wire.expect(format!("MSG a 1 1048576\r\n{payload}\r\n"));
    wire.sync();
}

fn a_payload_with_headers_over_the_maximum(server: Server) {
    let mut wire = server.with_headers();
    wire.send("HPUB a 12 1048577\r\n");
    wire.expect_last_words(LARGE_PAYLOAD);
}

/// A PUB whose arguments (after the verb and one space) have this many bytes.
fn long_publish(arguments_bytes: usize) -> String {
    let spaces = " ".repeat(arguments_bytes - "a0".len());
    format!("PUB a{spaces}0\r\n\r\n")
}

fn arguments_of_4096_bytes_are_accepted(server: Server) {
    let mut wire = server.quiet();
    wire.send(long_publish(4096));
    wire.sync();
    wire.send_in_bytes(long_publish(4096));
    wire.sync();
}

fn arguments_of_4097_bytes(server: Server) {
    ends(&server, long_publish(4097), LONG_LINE);
}

fn a_long_connect(server: Server) {
    let mut wire = server.connect();
    wire.say(&format!("CONNECT {{\"verbose\":false,\"name\":\"{}\"}}", "n".repeat(4096)));
    wire.expect_last_words(LONG_LINE);
}

fn a_long_line_without_an_end(server: Server) {
    for verb in ["PUB", "HPUB", "SUB", "UNSUB", "CONNECT"] {
        ends(&server, format!("{verb} {}", "s".repeat(5000)), LONG_LINE);
    }
}

fn a_long_line_in_pieces(server: Server) {
    let mut wire = server.quiet();
    wire.send_in_bytes(long_publish(4097));
    wire.expect_last_words(LONG_LINE);
}

fn an_account_in_connect(server: Server) {
    let mut wire = server.connect();
    wire.say(r#"CONNECT {"verbose":false,"account":"mine"}"#);
    wire.expect_last_words("-ERR 'Authorization Violation'\r\n");
}

fn a_protocol_that_does_not_exist(server: Server) {
    for protocol in [2, 3, -1] {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {{\"verbose\":false,\"protocol\":{protocol}}}"));
        wire.expect_last_words("-ERR 'invalid client protocol'\r\n");
    }
}

fn no_responders_without_headers(server: Server) {
    let mut wire = server.connect();
    wire.say(r#"CONNECT {"verbose":false,"no_responders":true}"#);
    wire.expect_last_words("-ERR 'no responders requires headers support'\r\n");
}
