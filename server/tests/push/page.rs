//! The example page, in a real browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use testkit::patience::wait_until;
use testkit::process::Program;
use testkit::push::TestServer;
use testkit::tools::program;

#[test]
fn the_page_shows_what_a_user_was_pushed_by_events() {
    the_page_shows_what_a_user_was_pushed("events");
}

#[test]
fn the_page_shows_what_a_user_was_pushed_by_web_socket() {
    the_page_shows_what_a_user_was_pushed("socket");
}

fn the_page_shows_what_a_user_was_pushed(by: &str) {
    let Some(chromium) = program("chromium") else { return };
    let server = TestServer::start(|settings| settings.ttl_s = 3_600);
    // A page from the disk has no origin.
    let http = server.http(&["null"]);
    let address = http.local_address();
    let mut witness = server.user("witness");
    assert_eq!(server.sender().ask("user:43;reply for somebody else"), "ok 0 0");
    assert_eq!(server.sender().ask("user:42;reply a <b>bold</b> word"), "ok 0 0");
    let _ended_with_the_test = open_page(chromium, address, by);

    let shown = witness.text();
    assert!(shown.contains("<p id=\"state\">connected</p>"), "{shown}");
    assert!(shown.contains("<small>user:42</small>a &lt;b&gt;bold&lt;/b&gt; word</li>"), "{shown}");
    assert!(!shown.contains("somebody else"), "{shown}");
    let listed = server.diagnostics.front_end("push-http").connections(0, 100);
    assert_eq!(listed.iter().any(|connection| connection.name == "websocket"), by == "socket");
    // And what comes while it is shown, in the place of the newest.
    assert_eq!(server.sender().ask("all;reply to everybody"), "ok 2 0");
    assert_eq!(witness.text(), "to everybody");
    let shown = witness.text();
    assert!(
        shown.contains("<ol id=\"pushes\" reversed=\"\"><li><small>all</small>to everybody</li>"),
        "{shown}"
    );
    // And, when it has come back, what came while it was away: each once.
    drop(http);
    wait_until("the page to be away", || server.broker.stats().subscriptions == 2);
    assert_eq!(server.sender().ask("user:42;reply while away"), "ok 0 0");
    let _http = server.http_at(address, &["null"]);
    let shown = witness.text();
    assert_eq!(
        (shown.matches("<li>").count(), shown.matches("while away").count()),
        (3, 1),
        "{shown}"
    );
}

/// The page as it is, and a script that tells the witness what is shown.
fn open_page(mut chromium: Command, server: SocketAddr, by: &str) -> Page {
    let directory = std::env::temp_dir().join(format!("fanfare-page-{by}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let page = directory.join("index.html");
    let example = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/push_page/index.html"
    ))
    .unwrap();
    std::fs::write(&page, format!("{example}{TELL_WITNESS}")).unwrap();
    let chromium = chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--remote-debugging-port=0",
            &format!("--user-data-dir={}", directory.join("profile").display()),
        ])
        .arg(format!("file://{}?server=http://{server}&user=42&by={by}", page.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Page { _browser: Program(chromium), _files: Directory(directory) }
}

const TELL_WITNESS: &str = r#"<script>
  new MutationObserver(() => fetch(`${server}/push/user:witness`, {
    method: "POST",
    body: document.body.querySelector("p").outerHTML + document.getElementById("pushes").outerHTML,
  })).observe(document.getElementById("pushes"), { childList: true });
</script>"#;

/// A page in a browser, and its files, which go when the browser has ended.
struct Page {
    _browser: Program,
    _files: Directory,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
