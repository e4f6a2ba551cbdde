//! Starting the binary that was built for this test.

/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_fanfare");

/// Its flags for where it listens.
const LISTENERS: [&str; 6] = ["--chat", "--nats", "--push", "--push-udp", "--push-http", "--admin"];

/// Arguments by which it listens there with one front-end, and nowhere else: no two tests want the
/// same port.
pub fn listening_only(flag: &str, address: &str) -> Vec<String> {
    assert!(LISTENERS.contains(&flag), "{flag}");
    let listener =
        |name: &str| [name.to_owned(), if name == flag { address } else { "off" }.to_owned()];
    LISTENERS.into_iter().flat_map(listener).collect()
}
