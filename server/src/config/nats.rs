//! The settings of NATS.

use super::ConfigError;
use super::check::Check;
use super::settings::Settings;
use super::users::users_file;
use crate::limits;
use crate::nats::authentication::{Authentication, Secret, User};
use crate::nats::settings::TlsSettings;
use crate::nats::{NatsSettings, SlowConsumer};
use crate::transport::{Identity, IdentityError};
use std::net::SocketAddr;
use std::path::Path;

impl Check {
    /// All of them, checked.
    pub fn nats(
        &self,
        settings: &Settings,
        address: Option<SocketAddr>,
    ) -> Result<NatsSettings, ConfigError> {
        let mut nats = NatsSettings::default();
        let number =
            |name, given, target: &mut usize, range| self.number(name, given, target, range);
        let any = (1, 1 << 30);
        number(
            "nats_max_connections",
            settings.nats_max_connections,
            &mut nats.connections.total,
            any,
        )?;
        let per_address = settings.nats_max_connections_per_address;
        number(
            "nats_max_connections_per_address",
            per_address,
            &mut nats.connections.per_address,
            any,
        )?;
        number(
            "nats_max_subscriptions",
            settings.nats_max_subscriptions,
            &mut nats.subscriptions,
            any,
        )?;
        number(
            "nats_max_payload",
            settings.nats_max_payload,
            &mut nats.parser.payload_bytes,
            (0, PAYLOAD_BYTES_MAX),
        )?;
        let control_line_bytes = &mut nats.parser.control_line_bytes;
        number(
            "nats_max_control_line",
            settings.nats_max_control_line,
            control_line_bytes,
            (64, 1 << 20),
        )?;
        let pending_messages = settings.nats_max_pending_messages;
        let most_messages = (1, fanfare::limits::QUEUE_MESSAGES_MAX);
        number(
            "nats_max_pending_messages",
            pending_messages,
            &mut nats.pending_messages,
            most_messages,
        )?;
        let most_bytes = (1, fanfare::limits::QUEUE_BYTES_MAX);
        number(
            "nats_max_pending_bytes",
            settings.nats_max_pending_bytes,
            &mut nats.pending_bytes,
            most_bytes,
        )?;
        let mut ping_max = nats.ping_max as usize;
        number("nats_ping_max", settings.nats_ping_max, &mut ping_max, (0, 1_000))?;
        nats.ping_max = ping_max as u32;
        self.nats_times(settings, &mut nats)?;
        if let Some(name) = &settings.nats_server_name {
            nats.server_name.clone_from(name);
        }
        nats.slow_consumer = match settings.nats_slow_consumer.as_deref() {
            None | Some("disconnect") => SlowConsumer::Disconnect,
            Some("drop") => SlowConsumer::Drop,
            Some(other) => {
                return Err(self.error(
                    "nats_slow_consumer",
                    &format!("{other} is neither disconnect nor drop"),
                ));
            }
        };
        nats.authentication = self.nats_authentication(settings)?;
        nats.tls = self.nats_tls(settings)?;
        self.fits_a_message(&nats)?;
        self.lets_in_nobody_by_mistake(settings, &nats, address)?;
        Ok(nats)
    }

    fn nats_times(&self, settings: &Settings, nats: &mut NatsSettings) -> Result<(), ConfigError> {
        for (name, given, default_ms, least_ms, target) in [
            (
                "nats_ping_interval_ms",
                settings.nats_ping_interval_ms,
                limits::NATS_PING_INTERVAL_MS,
                1,
                &mut nats.ping_interval,
            ),
            (
                "nats_auth_timeout_ms",
                settings.nats_auth_timeout_ms,
                limits::NATS_AUTHENTICATION_TIMEOUT_MS,
                1,
                &mut nats.authentication_timeout,
            ),
            ("nats_wait_ms", settings.nats_wait_ms, limits::NATS_WAIT_MS, 0, &mut nats.wait),
            (
                "nats_write_deadline_ms",
                settings.nats_write_deadline_ms,
                limits::NATS_WRITE_DEADLINE_MS,
                1,
                &mut nats.write_deadline,
            ),
            (
                "nats_lame_duck_duration_ms",
                settings.nats_lame_duck_duration_ms,
                limits::NATS_LAME_DUCK_DURATION_MS,
                0,
                &mut nats.lame_duck_duration,
            ),
            (
                "nats_lame_duck_grace_ms",
                settings.nats_lame_duck_grace_ms,
                limits::NATS_LAME_DUCK_GRACE_MS,
                0,
                &mut nats.lame_duck_grace,
            ),
        ] {
            *target = self.milliseconds(name, given, default_ms, least_ms)?;
        }
        Ok(())
    }

    fn nats_authentication(&self, settings: &Settings) -> Result<Authentication, ConfigError> {
        let mut authentication = Authentication::default();
        match (&settings.nats_user, &settings.nats_password) {
            (None, None) => {}
            (Some(name), Some(password)) => authentication.users.push(User {
                name: name.clone(),
                password: Secret::new(password.clone()),
                permissions: Default::default(),
            }),
            (Some(_), None) => return Err(self.error("nats_user", "needs a nats-password")),
            (None, Some(_)) => return Err(self.error("nats_password", "needs a nats-user")),
        }
        authentication.token = settings.nats_token.clone().map(Secret::new);
        if let Some(path) = &settings.nats_users_file {
            let users = users_file(Path::new(path))
                .map_err(|problem| self.error("nats_users_file", &problem))?;
            authentication.users.extend(users);
        }
        if (1..authentication.users.len()).any(|index| {
            let (before, rest) = authentication.users.split_at(index);
            before.iter().any(|user| user.name == rest[0].name)
        }) {
            return Err(self.error("nats_users_file", "names a user twice"));
        }
        Ok(authentication)
    }

    fn nats_tls(&self, settings: &Settings) -> Result<Option<TlsSettings>, ConfigError> {
        let (certificates, key) = match (&settings.nats_tls_cert, &settings.nats_tls_key) {
            (Some(certificates), Some(key)) => (certificates, key),
            (Some(_), None) => return Err(self.error("nats_tls_cert", "needs a nats-tls-key")),
            (None, Some(_)) => return Err(self.error("nats_tls_key", "needs a nats-tls-cert")),
            (None, None) if settings.nats_tls_required == Some(true) => {
                return Err(
                    self.error("nats_tls_required", "needs a nats-tls-cert and a nats-tls-key")
                );
            }
            (None, None) => return Ok(None),
        };
        let identity = Identity::read(Path::new(certificates), Path::new(key)).map_err(
            |error| match error {
                IdentityError::Certificates(..) => self.error("nats_tls_cert", &error.to_string()),
                IdentityError::Key(..) => self.error("nats_tls_key", &error.to_string()),
            },
        )?;
        Ok(Some(TlsSettings { identity, is_required: settings.nats_tls_required.unwrap_or(true) }))
    }

    /// A queue that takes not even one message would drop everything.
    fn fits_a_message(&self, nats: &NatsSettings) -> Result<(), ConfigError> {
        let needed_bytes = nats.parser.payload_bytes + nats.parser.control_line_bytes + 256;
        if nats.pending_bytes >= needed_bytes {
            return Ok(());
        }
        let problem =
            format!("{} is too small for a message; at least {needed_bytes}", nats.pending_bytes);
        let name = if self.is_set("nats_max_pending_bytes") {
            "nats_max_pending_bytes"
        } else {
            "nats_max_payload"
        };
        Err(self.error(name, &problem))
    }

    /// Who can reach another address than loopback has to say who it is, unless somebody wants it
    /// otherwise.
    fn lets_in_nobody_by_mistake(
        &self,
        settings: &Settings,
        nats: &NatsSettings,
        address: Option<SocketAddr>,
    ) -> Result<(), ConfigError> {
        let is_open = address.is_some_and(|address| !address.ip().is_loopback());
        if is_open
            && !nats.authentication.is_required()
            && !settings.nats_allow_anonymous.unwrap_or(false)
        {
            let shown = settings.nats.as_deref().unwrap_or_default();
            let problem = format!(
                "{shown} lets in everybody who can reach it; set nats-user and nats-password, nats-token or nats-users-file, or \
                 nats-allow-anonymous"
            );
            return Err(self.error("nats", &problem));
        }
        Ok(())
    }
}

/// The largest message that can be allowed. nats-server's sizes have nine digits; a queue has to
/// take one.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;
