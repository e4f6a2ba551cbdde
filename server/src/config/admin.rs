//! The settings of the admin listener.

use super::ConfigError;
use super::check::Check;
use super::settings::Settings;
use std::net::SocketAddr;

const DEFAULT_ADMIN_ADDRESS: &str = "127.0.0.1:6060";

/// Where the admin listener is, and who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// None if it is off.
    pub address: Option<SocketAddr>,
    /// Whether somebody wrote the address, or it is the default.
    pub is_asked_for: bool,
    /// What requests have to carry.
    pub token: Option<String>,
}

impl Check {
    /// Refuses to show everything to everybody.
    pub fn admin(&self, settings: &Settings) -> Result<AdminConfig, ConfigError> {
        let address =
            self.address("admin", settings.admin.as_deref().unwrap_or(DEFAULT_ADMIN_ADDRESS))?;
        let token = settings.admin_token.clone();
        if token.as_ref().is_some_and(|token| {
            token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic())
        }) {
            return Err(
                self.error("admin_token", "has to be of visible ASCII characters, at least one")
            );
        }
        if let Some(address) = address.filter(|address| !address.ip().is_loopback())
            && token.is_none()
        {
            let problem =
                format!("{address} can be reached from outside, which needs --admin-token");
            return Err(self.error("admin", &problem));
        }
        Ok(AdminConfig { address, is_asked_for: settings.admin.is_some(), token })
    }
}
