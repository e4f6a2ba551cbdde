//! An operator, whose hub lets in whoever has a JWT that the operator's account has signed.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// What stands before a key, so that its text begins with this letter.
#[derive(Clone, Copy)]
enum Role {
    Operator = 14 << 3,
    Account = 0,
    User = 20 << 3,
}

/// A role's only key: these tests need no other.
fn pair(role: Role) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[role as u8; 32]).unwrap()
}

fn public_key(role: Role) -> String {
    written([role as u8].into(), pair(role).public_key().as_ref())
}

/// The public key of the user.
pub fn user_key() -> String {
    public_key(Role::User)
}

/// The seed of the user's key.
pub fn user_seed() -> String {
    let role = Role::User as u8;
    written(vec![(18 << 3) | (role >> 5), role << 3], &[role; 32])
}

/// Lines of a hub's settings that know the operator and its account.
pub fn hub_lines() -> String {
    let limits = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1 });
    let operator =
        jwt((Role::Operator, Role::Operator), &json!({ "type": "operator", "version": 2 }));
    let account = json!({ "type": "account", "version": 2, "limits": limits });
    let account = jwt((Role::Operator, Role::Account), &account);
    let key = public_key(Role::Account);
    format!("operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {key}: {account} }}\n")
}

/// The user's file of credentials.
pub fn creds() -> String {
    let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let (jwt, seed) = (jwt((Role::Account, Role::User), &claims), user_seed());
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// What one says of another, signed.
fn jwt((issuer, subject): (Role, Role), claims: &Value) -> String {
    let body = json!({ "jti": "test", "iat": 1, "name": "test", "iss": public_key(issuer),
        "sub": public_key(subject), "nats": claims });
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let part = |json: Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let text = format!("{}.{}", part(head), part(body));
    let signature = pair(issuer).sign(text.as_bytes());
    format!("{text}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// A key as text, with its sum behind it (CRC-16/XMODEM).
fn written(mut bytes: Vec<u8>, key: &[u8]) -> String {
    bytes.extend(key);
    let sum = bytes.iter().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| match sum & 0x8000 {
            0 => sum << 1,
            _ => (sum << 1) ^ 0x1021,
        })
    });
    bytes.extend(sum.to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}
