//! The servers that race, as processes of their own.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use fanfare_server::bench::connection::Endpoint;
use fanfare_server::bench::frames::Protocol;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::ports::own_address;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Fanfare,
    NatsServer,
    Redis,
    /// No server: the same bytes written straight to the sockets.
    Ceiling,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Fanfare, Self::NatsServer, Self::Redis, Self::Ceiling];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fanfare => "fanfare",
            Self::NatsServer => "nats-server",
            Self::Redis => "redis-server",
            Self::Ceiling => "ceiling",
        }
    }
}

/// The command line knows them by the same names as the tables.
impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is ready for clients; killed when dropped.
pub struct Peer {
    pub endpoint: Endpoint,
    child: Child,
}

impl Peer {
    /// # Errors
    /// Why it did not start.
    pub fn start(kind: Kind) -> Result<Self, String> {
        let mut command = Command::new(program(kind)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match kind {
            Kind::Fanfare => {
                command.args([
                    "--chat",
                    "off",
                    "--admin",
                    "off",
                    "--log",
                    "error",
                    "--nats",
                    "127.0.0.1:0",
                ]);
                command.args(["--push", "off", "--push-udp", "off", "--push-http", "off"]);
                let mut peer = Self::spawned(command, kind)?;
                let output = peer.child.stdout.take();
                peer.ready_at(output, "listening nats 127.0.0.1:")
            }
            Kind::NatsServer => {
                command.args(["--addr", "127.0.0.1", "--port", "-1"]);
                let mut peer = Self::spawned(command, kind)?;
                let output = peer.child.stderr.take();
                peer.ready_at(output, "client connections on 127.0.0.1:")
            }
            Kind::Redis => {
                // Redis does not choose a port by itself.
                let port = own_address().port();
                command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                Self::spawned(command, kind)?.ready_on(port)
            }
            Kind::Ceiling => Err("the ceiling is no server".to_owned()),
        }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    fn spawned(mut command: Command, kind: Kind) -> Result<Self, String> {
        let child =
            command.spawn().map_err(|error| format!("{} does not start: {error}", kind.name()))?;
        let protocol = if kind == Kind::Redis { Protocol::Redis } else { Protocol::Nats };
        Ok(Self { endpoint: Endpoint { protocol, ..Endpoint::default() }, child })
    }

    /// Reads what it says up to the line with these words, behind which its port stands.
    fn ready_at(
        mut self,
        output: Option<impl Read + Send + 'static>,
        words: &str,
    ) -> Result<Self, String> {
        let mut output = BufReader::new(output.ok_or("its output is not piped")?);
        loop {
            let mut line = String::new();
            match output.read_line(&mut line) {
                Ok(0) | Err(_) => return Err("it ended before it listened".to_owned()),
                Ok(_) => {}
            }
            if let Some((_, port)) = line.split_once(words) {
                let port: u16 =
                    port.trim().parse().map_err(|_| format!("{line:?} names no port"))?;
                // A pipe that nobody reads would stop it. The thread ends with the process that it
                // reads from.
                std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
                return self.ready_on(port);
            }
            if let Some(problem) = self.child.try_wait().ok().flatten() {
                return Err(format!("it ended: {problem}"));
            }
        }
    }

    fn ready_on(mut self, port: u16) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(format!("nobody listens on {address}"));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.endpoint.access.address = address.to_string();
        Ok(self)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it says of itself; an error if it cannot race here.
///
/// # Errors
/// Why it cannot.
pub fn version(kind: Kind) -> Result<String, String> {
    if kind == Kind::Ceiling {
        return Ok("the same bytes written straight to the sockets".to_owned());
    }
    let program = program(kind)?;
    let output =
        Command::new(program).arg("--version").output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn program(kind: Kind) -> Result<PathBuf, String> {
    if kind == Kind::Fanfare {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        // target/release/examples/nats_race beside target/release/fanfare
        let file =
            this.parent().and_then(|folder| folder.parent()).map(|folder| folder.join("fanfare"));
        return file.filter(|file| file.is_file()).ok_or_else(|| "it is not built".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts servers where only root's PATH leads.
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join(kind.name())).find(|file| file.is_file());
    found.ok_or_else(|| format!("it is not installed (apt-get install {})", kind.name()))
}
