//! The settings of the admin listener.

use super::ConfigError;
use super::settings::Settings;
use super::shared::{AddressOptions, CertificateOptions, TlsOptions};
use super::table::Options;
use crate::transport::Identity;
use clap::{Arg, Args};
use std::net::SocketAddr;

#[derive(Args, Debug)]
#[command(next_help_heading = "Admin")]
pub struct AdminOptions {
    #[command(flatten)]
    listen: AddressOptions,
    /// Token that requests to the admin listener must carry: `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    tls: TlsOptions,
}

impl Options for AdminOptions {
    const TABLE: &'static str = "admin";
    const RELOADED: &'static [&'static [&'static str]] =
        &[&["token", "token-file"], &TlsOptions::KEYS];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("127.0.0.1:6060").help(
                "Address for the admin pages, metrics and profiles, or `off`. Any address but a \
                 loopback one requires a token",
            ),
            _ => shared,
        }
    }
}

/// Where the admin listener is, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// `None` if it is off.
    pub address: Option<SocketAddr>,
    /// Whether the address was set, as opposed to the default.
    pub is_asked_for: bool,
    /// The token that requests must carry.
    pub token: Option<String>,
    /// Its certificates and key; `None` for no TLS.
    pub tls: Option<Identity>,
}

impl AdminOptions {
    /// The checked settings. Refuses an address that others can reach without a token.
    pub fn config(
        self,
        settings: &Settings,
        of_all: &CertificateOptions,
    ) -> Result<AdminConfig, ConfigError> {
        let tls = self.tls.identity("admin", settings, of_all)?;
        let token = self.token;
        let is_token =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !is_token(token)) {
            return Err(
                settings.error("admin-token", "must be one or more visible ASCII characters")
            );
        }
        let address = self.listen.address;
        settings.guard("admin", address, token.is_some(), "admin-token")?;
        let is_asked_for = settings.is_set("admin");
        Ok(AdminConfig { address: address.0, is_asked_for, token, tls })
    }
}
