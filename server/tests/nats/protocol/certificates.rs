//! Users whom the certificates of clients name.

use crate::server::{TlsClient, tls_over};
use std::io::{Read, Write};
use testkit::nats::server::Server;
use testkit::nats::settings::{Permission, Settings, User};

rules!(mapped(&[named("localhost"), User::new("cn=fanfare test", "")]);
    a_host_in_the_certificate_is_the_user,
);

rules!(Settings { nats_file: true, ..mapped(&[User::new("other", "p"), named("cn=fanfare test")]) };
    without_such_a_host_the_subject_is_the_user,
);

rules!(mapped(&[User::new("other", "p")]);
    no_password_helps_whom_no_certificate_names,
);

fn mapped(users: &[User]) -> Settings {
    Settings { tls: true, verify_and_map: true, users: users.to_vec(), ..Settings::default() }
}

/// May publish to one subject alone, which shows who it is.
fn named(name: &'static str) -> User {
    let allow: &[&str] = &["mine"];
    User { publish: Some(Permission { allow, deny: &[] }), ..User::new(name, "") }
}

/// Shows the certificate, and says this in `CONNECT`.
fn client(server: &Server, options: &str) -> TlsClient {
    let wire = server.connect();
    assert_eq!(
        (&wire.info["tls_verify"], &wire.info["auth_required"]),
        (&true.into(), &true.into())
    );
    let mut client = tls_over(wire.socket().try_clone().unwrap(), true);
    write!(client, "CONNECT {{\"verbose\":false{options}}}\r\n").unwrap();
    client
}

#[track_caller]
fn expect(client: &mut TlsClient, expected: &str) {
    let mut said = vec![0; expected.len()];
    client.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), expected);
}

fn a_host_in_the_certificate_is_the_user(server: Server) {
    let mut client = client(&server, "");
    client.write_all(b"PUB mine 0\r\n\r\nPUB other 0\r\n\r\nPING\r\n").unwrap();
    let violation = "-ERR 'Permissions Violation for Publish to \"other\"'\r\n";
    expect(&mut client, &format!("{violation}PONG\r\n"));
}

fn without_such_a_host_the_subject_is_the_user(server: Server) {
    a_host_in_the_certificate_is_the_user(server);
}

fn no_password_helps_whom_no_certificate_names(server: Server) {
    let mut client = client(&server, r#","user":"other","pass":"p""#);
    expect(&mut client, "-ERR 'Authorization Violation'\r\n");
}
