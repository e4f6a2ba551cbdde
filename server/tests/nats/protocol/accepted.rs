//! What is accepted although it looks odd.

use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;

rules!(Settings::default();
    verbs_in_any_case,
    tabs_and_repeated_spaces,
    control_lines_that_end_in_a_line_feed_alone,
    a_ping_with_arguments,
    ok_and_info_from_a_client,
    a_second_connect,
    publishing_and_subscribing_before_connect,
    verbose_unless_connect_says_otherwise,
    a_ping_gets_a_pong_and_no_ok,
    options_that_nobody_knows,
    long_subjects,
    longer_subjects,
    options_that_are_not_utf8,
    input_byte_by_byte,
    line_ends_within_a_payload,
    an_empty_payload,
    a_size_echoed_as_it_was_written,
    subscription_ids_of_any_letters,
    a_payload_that_is_not_utf8,
    subjects_in_utf8,
    a_publish_to_an_empty_token_goes_nowhere,
);

fn verbs_in_any_case(server: Server) {
    let mut wire = server.connect();
    wire.send("connect {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n");
    wire.send(
        "sUb a 1\r\nPub a 1\r\nx\r\nhpuB a 12 13\r\nNATS/1.0\r\n\r\ny\r\nUnSub 1\r\n\
               pub a 1\r\nz\r\npiNG\r\n",
    );
    wire.expect("MSG a 1 1\r\nx\r\nHMSG a 1 12 13\r\nNATS/1.0\r\n\r\ny\r\nPONG\r\n");
    wire.send("pong\r\n+ok\r\n");
    wire.sync();
}

fn tabs_and_repeated_spaces(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB \t a \t  1 \t\r\nPUB\ta\t \t1\r\nx\r\nPUB   a  r  1  \r\ny\r\n");
    wire.send("HPUB\t a\t r  12 \t13\r\nNATS/1.0\r\n\r\nz\r\nUNSUB\t 1 \r\n");
    wire.expect("MSG a 1 1\r\nx\r\nMSG a 1 r 1\r\ny\r\nHMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nz\r\n");
    wire.sync();
}

fn control_lines_that_end_in_a_line_feed_alone(server: Server) {
    let mut wire = server.connect();
    wire.send("CONNECT {\"verbose\":false}\nSUB a 1\nPUB a 1\nx\r\nUNSUB 1\nPING\n");
    wire.expect("MSG a 1 1\r\nx\r\nPONG\r\n");
}

fn a_ping_with_arguments(server: Server) {
    let mut wire = server.quiet();
    wire.send("PING junk\r\nPONG junk\r\n");
    wire.expect("PONG\r\n");
    wire.sync();
}

fn ok_and_info_from_a_client(server: Server) {
    let mut wire = server.quiet();
    wire.send("+OK\r\nINFO {\"server_id\":\"me\"}\r\nINFO {}\r\n+OK junk\r\n");
    wire.sync();
}

fn a_second_connect(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a 1\r\nCONNECT {\"verbose\":true,\"echo\":false}\r\nPUB a 1\r\nx\r\n");
    wire.expect("+OK\r\n+OK\r\n");
    wire.send("CONNECT {\"verbose\":false,\"echo\":true}\r\nPUB a 1\r\ny\r\n");
    wire.expect("MSG a 1 1\r\ny\r\n");
    wire.sync();
}

fn publishing_and_subscribing_before_connect(server: Server) {
    let mut wire = server.connect();
    wire.send("SUB a 1\r\nPUB a 1\r\nx\r\n");
    wire.expect("+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n");
    wire.sync();
}

fn verbose_unless_connect_says_otherwise(server: Server) {
    let mut wire = server.connect();
    wire.send("CONNECT {}\r\nSUB a 1\r\nUNSUB 1\r\nPUB a 0\r\n\r\n");
    wire.expect("+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    wire.sync();
}

fn a_ping_gets_a_pong_and_no_ok(server: Server) {
    let mut wire = server.connect();
    wire.send("CONNECT {\"verbose\":true}\r\nPING\r\nPONG\r\nSUB a 1\r\n");
    wire.expect("+OK\r\nPONG\r\n+OK\r\n");
    wire.sync();
}

fn options_that_nobody_knows(server: Server) {
    let mut wire = server.connect();
    let options = r#""protocol":1,"lang":"x","version":"0","new":[1,{"deep":null}],"name":"é""#;
    wire.say(&format!("CONNECT {{\"verbose\":false,{options}}}"));
    wire.sync();
}

fn long_subjects(server: Server) {
    let mut wire = server.quiet();
    let deep = ["t"; 32].join(".");
    let long = format!("{}.{}", ["t"; 31].join("."), "x".repeat(962));
    for (sid, subject) in [&deep, &long].into_iter().enumerate() {
        wire.send(format!("SUB {subject} {sid}\r\nPUB {subject} 1\r\nx\r\n"));
        wire.expect(format!("MSG {subject} {sid} 1\r\nx\r\n"));
    }
    wire.sync();
}

/// nats-server takes them. Fanfare says to both sides that they are not permitted, which client
/// libraries tell the program; the connection stays.
fn longer_subjects(server: Server) {
    let mut wire = server.quiet();
    for subject in [["t"; 33].join("."), "x".repeat(1025)] {
        wire.send(format!("SUB {subject} 1\r\nPUB {subject} 1\r\nx\r\nUNSUB 1\r\n"));
        match server.kind {
            Kind::NatsServer => wire.expect(format!("MSG {subject} 1 1\r\nx\r\n")),
            Kind::Fanfare => ["Subscription", "Publish"].into_iter().for_each(|of| {
                wire.expect(format!("-ERR 'Permissions Violation for {of} to \"{subject}\"'\r\n"))
            }),
        }
        wire.sync();
    }
}

fn options_that_are_not_utf8(server: Server) {
    let mut wire = server.connect();
    wire.send(b"CONNECT {\"verbose\":false,\"name\":\"\xff\xfe\"}\r\n");
    wire.sync();
}

fn input_byte_by_byte(server: Server) {
    let mut wire = server.connect();
    wire.send_in_bytes(
        "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB a.* q 9\r\nPUB a.b r 5\r\n12\r\n3\r\n",
    );
    wire.send_in_bytes("HPUB a.c 12 14\r\nNATS/1.0\r\n\r\nxy\r\nPUB a.d 0\r\n\r\nPING\r\n");
    wire.expect(
        "MSG a.b 9 r 5\r\n12\r\n3\r\nHMSG a.c 9 12 14\r\nNATS/1.0\r\n\r\nxy\r\n\
                 MSG a.d 9 0\r\n\r\nPONG\r\n",
    );
}

fn line_ends_within_a_payload(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a 1\r\nPUB a 11\r\n\r\nPING\r\nX\r\n\r\n");
    wire.expect("MSG a 1 11\r\n\r\nPING\r\nX\r\n\r\n");
    wire.sync();
}

fn an_empty_payload(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a 1\r\nPUB a 0\r\n\r\nPUB a r 0\r\n\r\n");
    wire.expect("MSG a 1 0\r\n\r\nMSG a 1 r 0\r\n\r\n");
    wire.sync();
}

fn a_size_echoed_as_it_was_written(server: Server) {
    let mut wire = server.with_headers();
    wire.send(
        "SUB a 1\r\nPUB a 0000002\r\nab\r\nPUB a 000000001\r\nc\r\nHPUB a 0012 00013\r\n\
               NATS/1.0\r\n\r\nd\r\n",
    );
    wire.expect("MSG a 1 0000002\r\nab\r\nMSG a 1 000000001\r\nc\r\n");
    wire.expect("HMSG a 1 0012 00013\r\nNATS/1.0\r\n\r\nd\r\n");
    wire.sync();
}

fn subscription_ids_of_any_letters(server: Server) {
    let mut wire = server.quiet();
    let id = "a-Z.é!*>9";
    wire.send(format!("SUB a {id}\r\nPUB a 1\r\nx\r\nUNSUB {id}\r\nPUB a 1\r\ny\r\n"));
    wire.expect(format!("MSG a {id} 1\r\nx\r\n"));
    wire.sync();
}

fn a_payload_that_is_not_utf8(server: Server) {
    let mut wire = server.quiet();
    wire.send(b"SUB a 1\r\nPUB a 6\r\n\xff\x00\x0d\x0a\xc3\x28\r\n");
    wire.expect(b"MSG a 1 6\r\n\xff\x00\x0d\x0a\xc3\x28\r\n");
    wire.sync();
}

fn subjects_in_utf8(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB größe.* 1\r\nPUB größe.月 größe 1\r\nx\r\n");
    wire.expect("MSG größe.月 1 größe 1\r\nx\r\n");
    wire.sync();
}

fn a_publish_to_an_empty_token_goes_nowhere(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB > 1\r\nPUB a..b 1\r\nx\r\nPUB .a 1\r\nx\r\nPUB a. 1\r\nx\r\nPUB . 1\r\nx\r\n");
    wire.sync();
}
