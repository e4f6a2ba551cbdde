//! Headers, requests, and what is said when nobody is there to answer.

use testkit::nats::server::Server;
use testkit::nats::settings::Settings;

rules!(Settings::default();
    headers_arrive_as_they_were_sent,
    header_bytes_are_not_checked,
    a_header_of_no_bytes_is_delivered_as_msg,
    a_client_without_headers_gets_the_payload_alone,
    a_request_is_answered,
    nobody_there_to_answer,
    nobody_there_to_answer_an_hpub,
    nobody_but_the_publisher_itself_with_echo_off,
    nobody_there_when_verbose,
    nobody_but_the_publisher_itself_in_a_group_with_echo_off,
    a_group_is_not_told_that_nobody_is_there,
    the_reply_may_look_like_a_pattern,
    the_reply_is_heard_by_a_wildcard,
    the_word_that_nobody_is_there_is_not_counted_by_a_maximum,
    a_client_without_no_responders_is_told_nothing,
    jetstream_is_absent,
);

const NOBODY: &str = "HMSG r 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";

fn headers_arrive_as_they_were_sent(server: Server) {
    let mut wire = server.with_headers();
    let header = "NATS/1.0\r\nA: 1\r\na:2\r\nA: 3\r\n\r\n";
    let (header_bytes, bytes) = (header.len(), header.len() + 7);
    wire.send(format!("SUB a 1\r\nHPUB a r {header_bytes} {bytes}\r\n{header}payload\r\n"));
    wire.expect(format!("HMSG a 1 r {header_bytes} {bytes}\r\n{header}payload\r\n"));
    wire.sync();
}

fn header_bytes_are_not_checked(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB a 1\r\nHPUB a 3 4\r\nabcx\r\nHPUB a 4 4\r\nabcd\r\n");
    wire.expect("HMSG a 1 3 4\r\nabcx\r\nHMSG a 1 4 4\r\nabcd\r\n");
    wire.sync();
}

fn a_header_of_no_bytes_is_delivered_as_msg(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB a 1\r\nHPUB a 0 1\r\nx\r\nHPUB a r 0 0\r\n\r\n");
    wire.expect("MSG a 1 1\r\nx\r\nMSG a 1 r 0\r\n\r\n");
    wire.sync();
}

fn a_client_without_headers_gets_the_payload_alone(server: Server) {
    let (mut plain, mut sender) = (server.quiet(), server.with_headers());
    plain.send("SUB a 1\r\n");
    plain.sync();
    sender.send("HPUB a r 12 15\r\nNATS/1.0\r\n\r\nxyz\r\nHPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    sender.sync();
    plain.expect("MSG a 1 r 3\r\nxyz\r\nMSG a 1 0\r\n\r\n");
    plain.sync();
}

fn a_request_is_answered(server: Server) {
    let (mut asking, mut answering) = (server.with_headers(), server.with_headers());
    answering.send("SUB service workers 5\r\n");
    answering.sync();
    asking.send("SUB _INBOX.me.* 1\r\nPUB service _INBOX.me.1 2\r\nhi\r\n");
    answering.expect("MSG service 5 _INBOX.me.1 2\r\nhi\r\n");
    answering.send("PUB _INBOX.me.1 5\r\nhello\r\n");
    asking.expect("MSG _INBOX.me.1 1 5\r\nhello\r\n");
    asking.sync();
}

fn nobody_there_to_answer(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB r 1\r\nPUB nobody r 1\r\nx\r\nPUB nobody 1\r\nx\r\n");
    wire.expect(NOBODY);
    wire.sync();
}

fn nobody_there_to_answer_an_hpub(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB r 1\r\nHPUB nobody r 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
    wire.expect(NOBODY);
    wire.sync();
}

fn nobody_but_the_publisher_itself_with_echo_off(server: Server) {
    let mut wire =
        server.client(r#""verbose":false,"headers":true,"no_responders":true,"echo":false"#);
    wire.send("SUB r 1\r\nSUB service 2\r\nPUB service r 1\r\nx\r\n");
    wire.expect(NOBODY);
    wire.sync();
}

fn nobody_but_the_publisher_itself_in_a_group_with_echo_off(server: Server) {
    let mut wire =
        server.client(r#""verbose":false,"headers":true,"no_responders":true,"echo":false"#);
    wire.send("SUB r 1\r\nSUB service group 2\r\nPUB service r 1\r\nx\r\n");
    wire.expect(NOBODY);
    wire.sync();
}

fn a_group_is_not_told_that_nobody_is_there(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB r group 7\r\nPUB nobody r 1\r\nx\r\n");
    wire.sync();
    wire.send("SUB r 1\r\nPUB nobody r 1\r\nx\r\n");
    wire.expect(NOBODY);
    wire.sync();
}

fn the_reply_may_look_like_a_pattern(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB r 1\r\nSUB r.* 2\r\nPUB nobody r.> 1\r\nx\r\nPUB nobody * 1\r\nx\r\n");
    wire.expect("HMSG r.> 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    wire.sync();
}

fn nobody_there_when_verbose(server: Server) {
    let mut wire = server.connect();
    wire.send(
        "CONNECT {\"verbose\":true,\"headers\":true,\"no_responders\":true}\r\nSUB r 1\r\n\
         PUB nobody r 1\r\nx\r\n",
    );
    wire.expect("+OK\r\n+OK\r\n+OK\r\n");
    wire.expect(NOBODY);
    wire.send("SUB a 2\r\nPUB a 1\r\nx\r\n");
    wire.expect("+OK\r\n+OK\r\nMSG a 2 1\r\nx\r\n");
    wire.sync();
}

fn the_reply_is_heard_by_a_wildcard(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB _INBOX.me.* 1\r\nPUB nobody _INBOX.me.5 0\r\n\r\n");
    wire.expect("HMSG _INBOX.me.5 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    wire.sync();
}

fn the_word_that_nobody_is_there_is_not_counted_by_a_maximum(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB r 1\r\nUNSUB 1 1\r\nPUB nobody r 0\r\n\r\nPUB nobody r 0\r\n\r\n");
    wire.expect(NOBODY);
    wire.expect(NOBODY);
    wire.sync();
}

fn a_client_without_no_responders_is_told_nothing(server: Server) {
    let mut wire = server.client(r#""verbose":false,"headers":true"#);
    wire.send("SUB r 1\r\nPUB nobody r 1\r\nx\r\n");
    wire.sync();
}

fn jetstream_is_absent(server: Server) {
    let mut wire = server.with_headers();
    assert_eq!(wire.info.get("jetstream"), None);
    wire.send("SUB r 1\r\nPUB $JS.API.INFO r 0\r\n\r\n");
    wire.expect(NOBODY);
    wire.sync();
}
