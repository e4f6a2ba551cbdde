//! A nats-server that leaf nodes join.

use super::server::{own_folder, ports_announced};
use super::wire::Wire;
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A hub's settings where they differ from the defaults.
#[derive(Clone, Debug, Default)]
pub struct HubSettings {
    /// Listen here for clients and leaf nodes; otherwise on ports that are free.
    pub ports: Option<(u16, u16)>,
    /// Further lines of its settings.
    pub lines: String,
    /// Further settings of its port for leaf nodes.
    pub leafnodes: String,
    /// Whether it has streams and key-value stores.
    pub jet_stream: bool,
}

/// A hub that is ready; killed when dropped.
pub struct Hub {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where leaf nodes connect.
    pub leafnodes: SocketAddr,
    /// Where its monitoring listens.
    pub monitoring: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Hub {
    #[track_caller]
    pub fn start(program: &Path, settings: &HubSettings) -> Self {
        let folder = own_folder();
        let (client, leaf) = settings.ports.map_or((-1, -1), |(a, b)| (i32::from(a), i32::from(b)));
        let HubSettings { lines, leafnodes, .. } = settings;
        let mut text = format!(
            "listen: \"127.0.0.1:{client}\"\nhttp: \"127.0.0.1:-1\"\n\
             server_name: hub\n{lines}\n\
             leafnodes {{ listen: \"127.0.0.1:{leaf}\"\n{leafnodes} }}\n"
        );
        if settings.jet_stream {
            text += &format!("jetstream {{ store_dir: {:?} }}\n", folder.join("js"));
        }
        let file = folder.join("hub.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        let mut child = command.arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
        let words = ["client connections on ", "leafnode connections on ", "http monitor on "];
        let words = words.map(|words| format!("{words}127.0.0.1:"));
        let words = words.each_ref().map(String::as_str);
        let ports = ports_announced(child.stderr.take().unwrap(), words, "Server is ready");
        let [address, leafnodes, monitoring] = ports.map(|port| (Ipv4Addr::LOCALHOST, port).into());
        Self { address, leafnodes, monitoring, child, folder }
    }

    /// A client that is told when nobody can answer.
    #[track_caller]
    pub fn client(&self) -> Wire {
        Wire::client(self.address)
    }

    /// Sends the hub a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
