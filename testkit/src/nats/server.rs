//! A server process of either kind.

use super::settings::Settings;
use super::wire::Wire;
use crate::patience::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The original, which defines what is right.
    NatsServer,
    /// The binary under test.
    Fanfare,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::NatsServer, Self::Fanfare];

    pub fn name(self) -> &'static str {
        match self {
            Self::NatsServer => "nats-server",
            Self::Fanfare => "fanfare",
        }
    }
}

/// A server that is ready for clients; killed when dropped.
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    child: Child,
    /// Settings files, for this server alone.
    folder: PathBuf,
}

impl Server {
    #[track_caller]
    pub fn start(kind: Kind, program: &Path, settings: &Settings) -> Self {
        let folder = own_folder();
        let mut command = Command::new(program);
        command.args(settings.arguments(kind, &folder)).env_remove("FANFARE_LOG");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        pass_on(child.stdout.take().unwrap());
        // Fanfare says the same as nats-server: others' tests look for it too.
        let output = child.stderr.take().unwrap();
        let port = port_announced(output, "client connections on 127.0.0.1:", "Server is ready");
        Self { kind, address: (Ipv4Addr::LOCALHOST, port).into(), child, folder }
    }

    /// Writes other settings into the files that the server reads again.
    pub fn rewrite(&self, settings: &Settings) {
        settings.arguments(self.kind, &self.folder);
    }

    /// A connection that has not said anything yet. Its INFO is read.
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// A connection that has said `CONNECT` with these options. The server has answered a PING
    /// since.
    #[track_caller]
    pub fn client(&self, options: &str) -> Wire {
        let mut wire = self.connect();
        wire.say(&format!("CONNECT {{{options}}}"));
        wire.sync();
        wire
    }

    /// A connection that is neither verbose nor pedantic.
    #[track_caller]
    pub fn quiet(&self) -> Wire {
        self.client(r#""verbose":false,"pedantic":false"#)
    }

    /// As [`Server::quiet`], with headers and the word that nobody is there to answer.
    #[track_caller]
    pub fn with_headers(&self) -> Wire {
        self.client(r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true"#)
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A folder for one server alone.
pub(super) fn own_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("fanfare-nats-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Reads up to the line that says that the server is ready, and returns the port that follows
/// `words`. What the server says later goes to the test's output.
#[track_caller]
fn port_announced(output: impl Read + Send + 'static, words: &str, ready: &str) -> u16 {
    ports_announced(output, [words], ready)[0]
}

/// [`port_announced`] for several ports.
#[track_caller]
pub(super) fn ports_announced<const COUNT: usize>(
    output: impl Read + Send + 'static,
    words: [&str; COUNT],
    ready: &str,
) -> [u16; COUNT] {
    let mut output = BufReader::new(output);
    let (mut said, mut ports) = (String::new(), [None; COUNT]);
    loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the server ended, after {said}");
        for (port, words) in ports.iter_mut().zip(words) {
            if let Some((_, rest)) = line.split_once(words) {
                *port = rest.trim().parse().ok();
            }
        }
        said += &line;
        if line.contains(ready) {
            pass_on(output);
            return ports.map(|port| port.unwrap_or_else(|| panic!("no port in {said}")));
        }
    }
}

/// Copies a server's output, since a pipe that nobody reads would stop the server. The thread ends
/// with that process.
fn pass_on(output: impl Read + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
        }
    });
}
