//! SIGHUP: reads the settings again, and changes what can change while the server runs.

use crate::listeners;
use fanfare_server::chat::Secret;
use fanfare_server::cluster::ClusterSettings;
use fanfare_server::config::{Config, ConfigError, Source};
use fanfare_server::connection::{ConnectionLimiter, ConnectionLimits, TrustedProxies};
use fanfare_server::diagnostics::{Diagnostics, Serves};
use fanfare_server::live::Live;
use fanfare_server::nats::accounts::Accounts;
use fanfare_server::nats::authentication::Authentication;
use fanfare_server::push::access::Access;
use fanfare_server::transport::Identity;

/// The values that a reload changes.
pub struct Reloaded {
    pub accounts: Accounts,
    pub authentication: Option<Live<Authentication>>,
    pub identities: [(&'static str, Option<Identity>); 6],
    pub chat_password: Option<Live<Option<Secret>>>,
    pub links: Vec<Live<ClusterSettings>>,
    pub proxies: TrustedProxies,
    pub access: Live<Access>,
    pub admin_token: Live<Option<String>>,
    pub limiters: Vec<(&'static str, ConnectionLimiter)>,
    pub diagnostics: Diagnostics,
}

impl Reloaded {
    /// Whether a listener speaks TLS.
    pub fn has_tls(&self, listener: &str) -> bool {
        self.identities.iter().any(|(name, identity)| *name == listener && identity.is_some())
    }

    /// Reads everything again. A mistake changes nothing.
    pub fn reload(&self, source: &Source) {
        match self.try_reload(source) {
            Ok(need_restart) if need_restart.is_empty() => log::info!("the settings are reloaded"),
            Ok(need_restart) => log::warn!(
                "the settings are reloaded, but these need a restart: {}",
                need_restart.join(", ")
            ),
            Err(error) => log::error!("the settings are not reloaded, nothing changes: {error}"),
        }
    }

    fn try_reload(&self, source: &Source) -> Result<Vec<String>, ConfigError> {
        let reread = source.read_again()?;
        let (mut config, mut need_restart) = (reread.config, reread.need_restart);
        if let Some(warning) = listeners::fit(&mut config) {
            log::warn!("{warning}");
        }
        log::set_max_level(config.log);
        let accounts = config.accounts();
        for (listener, limiter) in &self.limiters {
            self.set_limits(listener, limiter, &config);
        }
        for ((listener, present), (_, new)) in self.identities.iter().zip(config.identities()) {
            match (present, new) {
                (Some(present), Some(new)) => present.replace_with(new),
                (None, None) => {}
                _ => need_restart.push(format!("whether {listener} has TLS")),
            }
        }
        self.proxies.replace_with(&config.proxies);
        self.chat_password.iter().for_each(|it| it.set(config.chat.session.password.clone()));
        for link in &self.links {
            let present = link.get();
            let renewed = config.clusters.iter().find_map(|new| present.renewed(new));
            renewed.into_iter().for_each(|renewed| link.set(renewed));
        }
        self.access.set(config.push.access);
        self.admin_token.set(config.admin.token);
        if let Some(present) = &self.authentication {
            let new = config.nats.authentication;
            // Clients were told in the greeting whether they have to authenticate.
            let told = |it: &Authentication| (it.is_required(), it.must_be_given());
            if told(&new) == told(&present.get()) {
                self.accounts.settle(accounts);
                present.set(new);
            } else {
                need_restart.push("whether NATS clients have to authenticate".to_owned());
            }
        }
        self.diagnostics.settings_are_read_again();
        Ok(need_restart)
    }

    fn set_limits(&self, listener: &'static str, limiter: &ConnectionLimiter, config: &Config) {
        let limits: ConnectionLimits = match listener {
            "chat" => config.chat.connections,
            "nats" => config.nats.connections,
            "push" => config.push.settings.connections,
            _ => config.push.http_connections,
        };
        limiter.set_limits(limits);
        let front_end = self.diagnostics.front_end(listener);
        if let Some(serves) = front_end.serves() {
            front_end.listening(Serves { max_connections: limits.total, ..serves });
        }
    }
}
