//! The Python code of docs/push.md pushes, and listens.

use fanfare_server::push::access::{Access, Key};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use testkit::patience::wait_until;
use testkit::ports::own_address;
use testkit::process::Program;
use testkit::push::TestServer;
use testkit::tools::{program, python_with_clients};

/// The piece of Python in docs/push.md that contains this word.
fn python_with(word: &str) -> &'static str {
    let blocks = include_str!("../../../docs/push.md")
        .split("```python\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks.into_iter().find(|code| code.contains(word)).expect("Python in docs/push.md")
}

#[test]
fn ten_lines_of_python_push_signed_and_unsigned() {
    let Some(mut python) = program("python3") else { return };
    let code = python_with("hmac");
    assert!(code.lines().filter(|line| !line.is_empty()).count() <= 10);
    let key = Key {
        id: "shop".into(),
        secret: "at least 16 bytes".into(),
        targets: vec!["user:*".into()],
    };
    let server = TestServer::start_with(Access::new(vec![key], None).unwrap(), |_| {});
    let mut client = server.user("42");
    // The code signs with the time that it runs at.
    server.now_s();
    let port = server.datagram_address.port();
    let calls = format!(
        "push('user:42 plain', address=('127.0.0.1', {port}))\n\
         push('user:42 signed \\u00e9', 'shop', 'at least 16 bytes', ('127.0.0.1', {port}))\n"
    );
    let status = python.args(["-c", &format!("{code}\n{calls}")]).status().unwrap();
    assert!(status.success());
    assert_eq!((client.text(), client.text()), ("plain".to_owned(), "signed \u{e9}".to_owned()));
    assert_eq!(server.figures().datagrams, 2);
}

#[test]
fn a_few_lines_of_python_listen_and_come_back() {
    let Some(mut python) = python_with_clients() else { return };
    let server = TestServer::start(|settings| settings.ttl_s = 3_600);
    let address = own_address();
    let http = server.http_at(address, &[]);
    let code = python_with("websockets.connect").split("if __name__").next().unwrap();
    let call =
        format!("asyncio.run(listen('42', lambda text: print(text, flush=True), '{address}'))");
    let python = python.args(["-c", &format!("{code}\n{call}")]).stdout(Stdio::piped()).spawn();
    let mut listener = Program(python.unwrap());
    let mut lines =
        BufReader::new(listener.0.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    assert_eq!(server.sender().ask("user:42;reply one"), "ok 0 0");
    assert_eq!(lines.next().as_deref(), Some("one"));
    server.sender().send(b"user:42 \xff\x00");
    assert_eq!(lines.next().as_deref(), Some("b'\\xff\\x00'"));
    drop(http);
    wait_until("nobody to listen", || server.broker.stats().subscriptions == 0);
    server.sender().ask("user:42;reply two");
    let _http = server.http_at(address, &[]);
    assert_eq!(lines.next().as_deref(), Some("two"));
}
