//! The settings of the admin listener.

use super::ConfigError;
use super::sources::Sources;
use super::values::{Listen, listen};
use clap::Args;
use std::net::SocketAddr;

#[derive(Args, Debug)]
#[command(next_help_heading = "Admin")]
pub struct AdminOptions {
    /// Address for the admin pages, metrics and profiles, or `off`. Any address but a loopback one
    /// requires an admin-token
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:6060", value_parser = listen)]
    admin: Listen,
    /// Token that requests to the admin listener must carry: `Authorization: Bearer TOKEN`. The
    /// environment is a better place for it than the command line
    #[arg(long, value_name = "TOKEN", env = "FANFARE_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
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
}

impl AdminOptions {
    /// Refuses to show everything to everybody.
    pub fn config(self, sources: &Sources) -> Result<AdminConfig, ConfigError> {
        let token = self.admin_token;
        let is_token =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !is_token(token)) {
            return Err(
                sources.error("admin-token", "must be one or more visible ASCII characters")
            );
        }
        sources.guard("admin", self.admin, token.is_some(), "admin-token")?;
        Ok(AdminConfig { address: self.admin.0, is_asked_for: sources.is_set("admin"), token })
    }
}
