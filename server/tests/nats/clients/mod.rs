//! The clients that people have, of three languages, against nats-server and against Fanfare: the
//! same scenarios for all.
//!
//! nats-py and the npm client are installed below `target` by `.ci/run nats-clients`; without
//! them their tests say so.

mod rust;
mod scripts;
