//! What the newest nats-server says and Debian's does not.

use testkit::nats::server::Server;
use testkit::nats::settings::Settings;

rules!(Settings { newest: true, ..Settings::default() };
    the_subject_that_nobody_listens_to_is_named,
    a_client_that_knows_info_is_told_once_that_it_has_connected,
);

fn the_subject_that_nobody_listens_to_is_named(server: Server) {
    let mut wire = server.with_headers();
    wire.send("SUB r.* 1\r\nPUB a.b r.1 0\r\n\r\n");
    wire.expect("HMSG r.1 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: a.b\r\n\r\n\r\n");
    // What the request itself has in its headers is not repeated.
    wire.send("HPUB a r.2 20 20\r\nNATS/1.0\r\nOwn: 2\r\n\r\n\r\n");
    wire.expect("HMSG r.2 1 33 33\r\nNATS/1.0 503\r\nNats-Subject: a\r\n\r\n\r\n");
    wire.sync();
}

fn a_client_that_knows_info_is_told_once_that_it_has_connected(server: Server) {
    let mut wire = server.connect();
    assert!(wire.info.get("connect_info").is_none());
    // Not before it has said what it knows.
    wire.sync();
    wire.say(r#"CONNECT {"verbose":false,"protocol":1}"#);
    wire.sync();
    let info = wire.read_info();
    assert_eq!((&info["connect_info"], &info["remote_account"]), (&true.into(), &"$G".into()));
    assert_eq!(info["client_id"], wire.info["client_id"]);
    wire.sync();
    server.client(r#""verbose":false,"protocol":0"#).sync();
}
