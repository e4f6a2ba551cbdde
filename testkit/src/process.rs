//! Starting the `fanfare` binary, and ending what a test has started.

use std::process::Child;

/// The flags that say where the server listens.
const LISTENERS: [&str; 6] = ["--chat", "--nats", "--push", "--push-udp", "--push-http", "--admin"];

/// Arguments that make the server listen at `address` for one front-end and nowhere else, so that
/// no two tests want the same port.
pub fn listening_only(flag: &str, address: &str) -> Vec<String> {
    listening_at(&[(flag, address)])
}

/// The same for some front-ends, each at an address of its own.
pub fn listening_at(listeners: &[(&str, &str)]) -> Vec<String> {
    assert!(listeners.iter().all(|(flag, _)| LISTENERS.contains(flag)), "{listeners:?}");
    let listener = |flag: &str| {
        let address = listeners.iter().find(|(one, _)| *one == flag).map_or("off", |(_, at)| at);
        [flag.to_owned(), address.to_owned()]
    };
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
