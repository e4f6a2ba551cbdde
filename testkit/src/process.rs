//! Starting the `fanfare` binary, and ending what a test has started.

use std::process::Child;

/// The flags that say where the server listens.
const LISTENERS: [&str; 6] = ["--chat", "--nats", "--push", "--push-udp", "--push-http", "--admin"];

/// Arguments that make the server listen at `address` for one front-end and nowhere else, so that
/// no two tests want the same port.
pub fn listening_only(flag: &str, address: &str) -> Vec<String> {
    assert!(LISTENERS.contains(&flag), "{flag}");
    let listener =
        |name: &str| [name.to_owned(), if name == flag { address } else { "off" }.to_owned()];
    LISTENERS.into_iter().flat_map(listener).collect()
}

/// A program that ends with the test, however that ends.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
