//! The same configuration file for both servers.

use super::accounts::*;
use super::authentication::{a_publish_that_is_denied, several_users, users};
use crate::FANFARE;
use std::process::Command;
use testkit::directory::TempDirectory;
use testkit::nats::settings::Settings;
use testkit::nats::{tls_certificate, tls_key};
use testkit::tools;

rules!(Settings { nats_file: true, newest: true, ..settings() };
    subjects_of_one_account_are_unseen_by_the_others,
    a_client_is_told_its_account,
    the_system_account_is_told_of_connects_and_disconnects,
);

rules!(Settings { nats_file: true, ..silent() };
    clients_that_do_not_say_who_they_are_are_the_user_for_that,
    clients_that_say_who_they_are_are_that,
);

rules!(Settings {
        nats_file: true,
        users: users(),
        max_payload: Some(1000),
        ping_interval_ms: Some(60_000),
        ..Settings::default()
    };
    several_users,
    a_publish_that_is_denied,
);

/// Says most of what both know, and some that Fanfare does not.
fn file(folder: &TempDirectory) -> String {
    let (cert, key) = (tls_certificate(), tls_key());
    let included = folder.path().join("limits.conf");
    std::fs::write(&included, "max_payload: 64KB\nwrite_deadline: \"5s\"\n").unwrap();
    format!(
        r#"# Both servers take this.
        server_name = "both"; listen: 127.0.0.1:-1 // any port
        include limits.conf
        max_connections 1000
        PASSWORD: "s3cr3t"
        ping_interval: "30s", ping_max: 3
        accounts: {{
          SHOP {{ users = [
            {{user: till, password: $PASSWORD, permissions: {{
              publish: ["orders.>", "_INBOX.>"], subscribe: {{allow: ">", deny: ["secret.>"]}}
              allow_responses: {{max: 5, expires: "1m"}} }} }}
            {{user: guest,
              password: "$2a$04$KPhbA3E2Jb7XhU/ZTHE0GeqZrGCkQ3PyoS5F4xHcPKNuVCJYyfVFa"}}
          ] }}
          SYS {{ users: [{{user: sys, password: s}}] }}
        }}
        system_account: SYS
        no_auth_user: guest
        tls {{ cert_file: {cert:?}, key_file: {key:?}, timeout: 5 }}
        websocket {{ port: -1, no_tls: true, same_origin: false }}
        lame_duck_duration: "30s"
        logtime: false
        "#
    )
}

#[test]
fn a_file_that_nats_server_takes_is_taken_and_what_does_not_count_is_named() {
    let folder = TempDirectory::new();
    let path = folder.path().join("both.conf");
    std::fs::write(&path, file(&folder)).unwrap();
    if let Some(nats_server) = tools::nats_server() {
        let output = Command::new(nats_server).arg("-t").arg("-c").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let fanfare = |flag: &str| {
        let output = Command::new(FANFARE).arg("--nats-config").arg(&path).arg(flag).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let checked = fanfare("--check-config");
    assert!(checked.contains("both.conf line 22: logtime is not honoured\n"), "{checked}");
    assert!(checked.ends_with("the settings are valid\n"), "{checked}");
    let printed = fanfare("--print-config");
    for (line, place) in [
        ("address = \"127.0.0.1:0\"", "both.conf line 2"),
        ("server-name = \"both\"", "both.conf line 2"),
        ("max-payload = 65536", "limits.conf line 1"),
        ("write-deadline-ms = 5000", "limits.conf line 2"),
        ("ping-interval-ms = 30000", "both.conf line 6"),
        ("no-auth-user = \"guest\"", "both.conf line 18"),
    ] {
        let is_it = |it: &str| it.starts_with(line) && it.ends_with(place);
        assert!(printed.lines().any(is_it), "{line} in {printed}");
    }
    assert!(!printed.contains("s3cr3t"));
}
