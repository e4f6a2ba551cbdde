//! A server on ports of its own, put in place of the addresses that the pages have.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use testkit::directory::TempDirectory;
use testkit::process::Program;

/// The server's listeners, and the addresses that the pages have for them.
const LISTENERS: [(&str, &str); 6] = [
    ("chat", "127.0.0.1:7000"),
    ("nats", "127.0.0.1:4222"),
    ("push", "127.0.0.1:7002"),
    ("push-udp", "127.0.0.1:7001"),
    ("push-http", "127.0.0.1:7003"),
    ("admin", "127.0.0.1:6060"),
];

/// It ends with the test.
pub struct Server {
    program: Program,
    /// What it says at its start.
    pub announcement: String,
    addresses: BTreeMap<String, String>,
    _data: TempDirectory,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further flags.
    pub fn with(flags: &[&str]) -> Self {
        let data = TempDirectory::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        for (listener, _) in LISTENERS {
            command.args([&format!("--{listener}"), "127.0.0.1:0"]);
        }
        command.args(["--data-dir", data.text()]).args(flags).current_dir(data.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut announcement, mut addresses) = (String::new(), BTreeMap::new());
        for line in lines.map(Result::unwrap) {
            announcement += &format!("{line}\n");
            let listening = line.strip_prefix("listening ").and_then(|rest| rest.split_once(' '));
            if let Some((listener, address)) = listening {
                let address = address.trim_start_matches("http://").trim_end_matches('/');
                addresses.insert(listener.to_owned(), address.to_owned());
            }
            // The last line.
            if addresses.contains_key("admin") {
                break;
            }
        }
        Self { program: Program(child), announcement, addresses, _data: data }
    }

    /// Where a front-end listens.
    pub fn at(&self, listener: &str) -> &str {
        &self.addresses[listener]
    }

    /// A page's text with the server's addresses in place of its own.
    pub fn put_addresses(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (listener, page) in LISTENERS {
            let address = self.at(listener);
            text = text.replace(page, address);
            // As `nc` has it.
            text = text.replace(&page.replace(':', " "), &address.replace(':', " "));
        }
        text.replace("HOST:6060", self.at("admin"))
    }

    pub fn stop(&self) {
        let id = rustix::process::Pid::from_child(&self.program.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }
}
