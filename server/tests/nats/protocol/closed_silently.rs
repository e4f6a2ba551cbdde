//! What ends the connection without a word.

use testkit::nats::server::Server;
use testkit::nats::settings::Settings;

rules!(Settings::default();
    a_wrong_number_of_arguments_for_pub,
    a_wrong_number_of_arguments_for_hpub,
    a_wrong_number_of_arguments_for_sub,
    a_wrong_number_of_arguments_for_unsub,
    a_size_that_is_no_size,
    a_size_of_more_than_nine_digits,
    a_header_longer_than_the_whole,
    headers_that_were_not_negotiated,
    a_connect_that_is_no_json,
    a_connect_without_json,
    a_connect_with_a_value_of_the_wrong_type,
    an_info_that_is_no_json,
    an_error_from_a_client,
);

/// On a connection of its own, this is answered by the end alone.
#[track_caller]
fn closes(server: &Server, sent: &str) {
    let mut wire = server.with_headers();
    wire.send(sent);
    wire.expect_closed();
}

fn a_wrong_number_of_arguments_for_pub(server: Server) {
    for line in ["PUB \r\n", "PUB a\r\n", "PUB a b c 1\r\nx\r\n"] {
        closes(&server, line);
    }
}

fn a_wrong_number_of_arguments_for_hpub(server: Server) {
    for line in ["HPUB \r\n", "HPUB a\r\n", "HPUB a 5\r\n", "HPUB a b c 1 2\r\nxy\r\n"] {
        closes(&server, line);
    }
}

fn a_wrong_number_of_arguments_for_sub(server: Server) {
    for line in ["SUB \r\n", "SUB a\r\n", "SUB a b c d\r\n"] {
        closes(&server, line);
    }
}

fn a_wrong_number_of_arguments_for_unsub(server: Server) {
    for line in ["UNSUB \r\n", "UNSUB 1 2 3\r\n"] {
        closes(&server, line);
    }
}

fn a_size_that_is_no_size(server: Server) {
    for size in ["-1", "+1", "x", "1.0", "0x1", "1e3"] {
        closes(&server, &format!("PUB a {size}\r\nx\r\n"));
        closes(&server, &format!("HPUB a 0 {size}\r\nx\r\n"));
        closes(&server, &format!("HPUB a {size} 9\r\nx\r\n"));
    }
}

fn a_size_of_more_than_nine_digits(server: Server) {
    closes(&server, "PUB a 1234567890\r\n");
    closes(&server, "PUB a 0000000001\r\nx\r\n");
    closes(&server, "HPUB a 0000000001 2\r\nxy\r\n");
}

fn a_header_longer_than_the_whole(server: Server) {
    closes(&server, "HPUB a 13 12\r\n");
}

fn headers_that_were_not_negotiated(server: Server) {
    let mut wire = server.quiet();
    wire.send("HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
    wire.expect_closed();
}

fn a_connect_that_is_no_json(server: Server) {
    for line in ["CONNECT {nope\r\n", "CONNECT {}junk\r\n", "CONNECT []\r\n", "CONNECT 1\r\n"] {
        let mut wire = server.connect();
        wire.send(line);
        wire.expect_closed();
    }
}

fn a_connect_without_json(server: Server) {
    for line in ["CONNECT\r\n", "CONNECT \r\n"] {
        let mut wire = server.connect();
        wire.send(line);
        wire.expect_closed();
    }
}

fn a_connect_with_a_value_of_the_wrong_type(server: Server) {
    for options in [r#"{"verbose":"yes"}"#, r#"{"protocol":"1"}"#, r#"{"name":1}"#] {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {options}"));
        wire.expect_closed();
    }
}

fn an_info_that_is_no_json(server: Server) {
    for line in ["INFO\r\n", "INFO {bad\r\n", "INFO junk\r\n", "INFO []\r\n"] {
        closes(&server, line);
    }
}

fn an_error_from_a_client(server: Server) {
    closes(&server, "-ERR 'x'\r\n");
    closes(&server, "-err nothing\r\n");
}
