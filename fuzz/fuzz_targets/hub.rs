#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fanfare_server::codec::nats::fuzz_hub(data));
