//! Users that prove with a key who they are.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::signature::Ed25519KeyPair;
use testkit::nats::server::Server;
use testkit::nats::settings::{Permission, Settings, User};

/// The public half of [`SEED`].
const KEY: &str = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";
const SEED: [u8; 32] = [7; 32];

rules!(settings();
    a_signed_nonce_lets_in,
    another_signature_does_not,
    a_decentralised_token_does_not,
);

fn settings() -> Settings {
    let allow: &[&str] = &["mine"];
    let publish = Some(Permission { allow, deny: &[] });
    let with_key = User { publish, ..User::with_nkey(KEY) };
    Settings { users: vec![with_key, User::new("a", "b")], ..Settings::default() }
}

fn signature(nonce: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    BASE64URL_NOPAD.encode(pair.sign(nonce.as_bytes()).as_ref())
}

const UNAUTHORIZED: &str = "-ERR 'Authorization Violation'\r\n";

fn a_signed_nonce_lets_in(server: Server) {
    let mut wire = server.connect();
    let nonce = wire.info["nonce"].as_str().unwrap().to_owned();
    let signature = signature(&nonce);
    wire.say(&format!(r#"CONNECT {{"verbose":false,"nkey":"{KEY}","sig":"{signature}"}}"#));
    wire.sync();
    wire.send("PUB other 0\r\n\r\nPUB mine 0\r\n\r\n");
    wire.expect("-ERR 'Permissions Violation for Publish to \"other\"'\r\n");
    wire.sync();
    // Each connection has its own.
    assert_ne!(server.connect().info["nonce"].as_str(), Some(nonce.as_str()));
    server.client(r#""verbose":false,"user":"a","pass":"b""#).sync();
}

fn another_signature_does_not(server: Server) {
    let other = BASE32_NOPAD.encode(&SEED);
    for (key, nonce) in [(KEY, "of another"), (other.as_str(), "")] {
        let mut wire = server.connect();
        let nonce = if nonce.is_empty() { wire.info["nonce"].as_str().unwrap() } else { nonce };
        let signature = signature(nonce);
        wire.say(&format!(r#"CONNECT {{"nkey":"{key}","sig":"{signature}"}}"#));
        wire.expect_last_words(UNAUTHORIZED);
    }
    let mut wire = server.connect();
    wire.say(&format!(r#"CONNECT {{"nkey":"{KEY}"}}"#));
    wire.expect_last_words(UNAUTHORIZED);
}

fn a_decentralised_token_does_not(server: Server) {
    let mut wire = server.connect();
    let signature = signature(wire.info["nonce"].as_str().unwrap());
    wire.say(&format!(r#"CONNECT {{"jwt":"eyJ0eXAiOiJKV1QifQ.e30.x","sig":"{signature}"}}"#));
    wire.expect_last_words(UNAUTHORIZED);
}
