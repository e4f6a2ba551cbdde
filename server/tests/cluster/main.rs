//! The link to a NATS cluster, with nats-server as its hub in the oldest version and the newest,
//! and with a hub of the test's own where bytes matter.

mod exactness;
mod fake;
mod joined;
mod meaning;
mod operator;
mod secure;
mod several;
mod streams;
mod trouble;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

/// Makes a test of each case for each version of nats-server.
macro_rules! with_both_hubs {
    ($($case:ident),* $(,)?) => {
        mod oldest {
            $(#[test]
            fn $case() {
                if let Some(program) = testkit::tools::nats_server() {
                    super::$case(&program);
                }
            })*
        }

        mod newest {
            $(#[test]
            fn $case() {
                if let Some(program) = testkit::tools::nats_client("python/bin/nats-server") {
                    super::$case(&program);
                }
            })*
        }
    };
}
pub(crate) use with_both_hubs;
