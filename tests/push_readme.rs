//! The README's Python code pushes.
#![cfg(feature = "server")]

mod push_support;

use fanfare::frontend::push::access::{Access, Key};
use push_support::TestServer;
use std::process::Command;

#[test]
fn ten_lines_of_python_push_signed_and_unsigned() {
    let readme = include_str!("../README.md");
    let blocks = readme.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next());
    let code = blocks.into_iter().find(|code| code.contains("hmac")).expect("Python that pushes in the README");
    assert!(code.lines().filter(|line| !line.is_empty()).count() <= 10);
    let key = Key { id: "shop".into(), secret: "at least 16 bytes".into(), targets: vec!["user:*".into()] };
    let server = TestServer::start_with(Access::new(vec![key], None).unwrap(), |_| {});
    let mut client = server.user("42");
    let port = server.datagram_address.port();
    let calls = format!(
        "push('user:42 plain', address=('127.0.0.1', {port}))\n\
         push('user:42 signed \\u00e9', 'shop', 'at least 16 bytes', ('127.0.0.1', {port}))\n"
    );
    let status =
        Command::new("python3").args(["-c", &format!("{code}\n{calls}")]).status().expect("python3 is installed");
    assert!(status.success());
    assert_eq!((client.text(), client.text()), ("plain".to_owned(), "signed \u{e9}".to_owned()));
    assert_eq!(server.figures().datagrams, 2);
}
