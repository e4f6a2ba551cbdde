//! The example page, in a real browser.
#![cfg(feature = "server")]

mod push_support;

use fanfare::frontend::http::{HttpServer, HttpSettings};
use fanfare::transport::{Gate, GateLimits, Listener};
use push_support::TestServer;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

#[test]
fn the_page_shows_what_a_user_was_pushed() {
    let server = TestServer::start(|settings| settings.ttl_s = 3_600);
    let gate = Gate::new(GateLimits { connections: 100, per_address: 100 });
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), gate).unwrap();
    let address = listener.local_address();
    // A page from the disk has no origin.
    let service = server.push.as_ref().unwrap().http(vec!["null".to_owned()]);
    let front_end = server.diagnostics.front_end("push-http");
    let _http = HttpServer::start(listener, &server.tasks, service, HttpSettings::default(), front_end);
    let mut witness = server.user("witness");
    assert_eq!(server.sender().ask("user:43;reply for somebody else"), "ok 0 0");
    assert_eq!(server.sender().ask("user:42;reply a <b>bold</b> word"), "ok 0 0");

    // The page as it is, and a script that tells the witness what is shown.
    let directory = std::env::temp_dir().join(format!("fanfare-page-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let page = directory.join("index.html");
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/push_page/index.html")).unwrap();
    std::fs::write(&page, format!("{example}{TELL_WITNESS}")).unwrap();
    let chromium = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--remote-debugging-port=0", &format!("--user-data-dir={}", directory.join("profile").display())])
        .arg(format!("file://{}?server=http://{address}&user=42", page.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium is installed");
    let _ended_with_the_test = Killed(chromium, directory);

    let shown = witness.text();
    assert!(shown.contains("<p id=\"state\">connected</p>"), "{shown}");
    assert!(shown.contains("<small>user:42</small>a &lt;b&gt;bold&lt;/b&gt; word</li>"), "{shown}");
    assert!(!shown.contains("somebody else"), "{shown}");
    // And what comes while it is shown, in the place of the newest.
    assert_eq!(server.sender().ask("all;reply to everybody"), "ok 2 0");
    assert_eq!(witness.text(), "to everybody");
    let shown = witness.text();
    assert!(shown.contains("<ol id=\"pushes\" reversed=\"\"><li><small>all</small>to everybody</li>"), "{shown}");
}

const TELL_WITNESS: &str = r#"<script>
  new MutationObserver(() => fetch(`${server}/push/user:witness`, {
    method: "POST",
    body: document.body.querySelector("p").outerHTML + document.getElementById("pushes").outerHTML,
  })).observe(document.getElementById("pushes"), { childList: true });
</script>"#;

struct Killed(Child, PathBuf);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}
