//! Every setting, declared once: its flag, its name in the file, its help.

use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;

/// Declares each setting once, for flags, file, merging, and naming in errors.
macro_rules! settings {
    ($( $(#[$attribute:meta])* $field:ident: $type:ty, $value_name:literal; )*) => {
        /// The settings as written, none of them checked.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct Settings {
            $( $(#[$attribute])* #[arg(long, value_name = $value_name)] pub $field: Option<$type>, )*
        }

        impl Settings {
            /// What is set here, else what is set there.
            pub fn or(self, other: Settings) -> Settings {
                Settings { $( $field: self.$field.or(other.$field), )* }
            }

            /// Whether the setting of that name is set here.
            pub fn sets(&self, name: &str) -> bool {
                match name {
                    $( stringify!($field) => self.$field.is_some(), )*
                    _ => false,
                }
            }
        }
    };
}

settings! {
    /// Where chat listens, or `off`; port 0 takes a free one [default: 127.0.0.1:7000]
    chat: String, "ADDR|off";
    /// Where the admin pages, metrics and profiles are, or `off`. An address that is not a loopback
    /// one needs --admin-token [default: 127.0.0.1:6060]
    admin: String, "ADDR|off";
    /// What requests to the admin listener have to carry: Authorization: Bearer TOKEN [default:
    /// none]
    #[arg(env = "FANFARE_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: String, "TOKEN";
    /// What is logged: off, error, warn, info, debug, trace [default: info]
    #[arg(env = "FANFARE_LOG")]
    log: String, "LEVEL";
    /// Milliseconds for goodbyes when the server ends [default: 5000]
    goodbye_ms: u64, "MS";
    /// Chat connections at the same time [default: 10000]
    chat_connections: u64, "N";
    /// Chat connections from one address at the same time [default: 6000]
    chat_connections_per_address: u64, "N";
    /// Bytes of a line [default: 4096]
    chat_line_bytes: u64, "BYTES";
    /// Lines a second that are read from one connection; 0 reads as many as come [default: 0]
    chat_lines_per_second: u64, "N";
    /// Characters of a name [default: 24]
    chat_name_characters: u64, "N";
    /// Characters of a room's topic [default: 300]
    chat_topic_characters: u64, "N";
    /// Rooms at the same time [default: 10000]
    chat_rooms: u64, "N";
    /// Rooms one person is in at the same time [default: 20]
    chat_rooms_per_person: u64, "N";
    /// Members of a room [default: 10000]
    chat_room_members: u64, "N";
    /// Last lines kept of each room [default: 100]
    chat_history_lines: u64, "N";
    /// Last lines shown to somebody who joins [default: 20]
    chat_replay_lines: u64, "N";
    /// Messages queued for one person from one room [default: 1024]
    chat_queue_messages: u64, "N";
    /// Bytes queued for one person from one room [default: 262144]
    chat_queue_bytes: u64, "BYTES";
    /// Milliseconds a line waits for a reader whose queue is full [default: 5]
    chat_wait_ms: u64, "MS";
    /// Bytes rendered for one person that the network has not taken yet [default: 65536]
    chat_write_buffer_bytes: u64, "BYTES";
    /// Milliseconds in which a reader has to take at least one byte of what waits [default: 60000]
    chat_write_deadline_ms: u64, "MS";
    /// Milliseconds of silence after which a peer is pinged [default: 120000]
    chat_idle_ms: u64, "MS";
    /// Pings without a sign of life after which a peer is let go [default: 3]
    chat_idle_misses: u64, "N";
    /// Let a peer go that answers no ping, even if it takes what it is sent [default: false]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    chat_idle_answer_required: bool, "true|false";
    /// Where NATS listens, or `off`; port 0 takes a free one [default: 127.0.0.1:4222]
    nats: String, "ADDR|off";
    /// What the NATS server calls itself [default: fanfare]
    nats_server_name: String, "NAME";
    /// Bytes of a NATS message, its headers counted [default: 1048576]
    nats_max_payload: u64, "BYTES";
    /// Bytes of arguments on a NATS control line [default: 4096]
    nats_max_control_line: u64, "BYTES";
    /// NATS connections at the same time [default: 10000]
    nats_max_connections: u64, "N";
    /// NATS connections from one address at the same time [default: 6000]
    nats_max_connections_per_address: u64, "N";
    /// Subscriptions of one NATS connection [default: 100000]
    nats_max_subscriptions: u64, "N";
    /// Milliseconds of silence after which a NATS client is sent a PING [default: 120000]
    nats_ping_interval_ms: u64, "MS";
    /// PINGs that a NATS client may leave unanswered [default: 2]
    nats_ping_max: u64, "N";
    /// Milliseconds in which a NATS client has to say who it is [default: 2000]
    nats_auth_timeout_ms: u64, "MS";
    /// Who may come in by NATS; with nats-password
    nats_user: String, "NAME";
    /// That user's password, or its bcrypt hash
    nats_password: String, "PASSWORD";
    /// Who knows this may come in by NATS; the token, or its bcrypt hash
    nats_token: String, "TOKEN";
    /// A TOML file of NATS users and what each may do
    nats_users_file: String, "FILE";
    /// Let in everybody by NATS on an address that others can reach [default: false]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    nats_allow_anonymous: bool, "true|false";
    /// A PEM file with the certificates of the NATS server; with nats-tls-key. Then it speaks TLS
    nats_tls_cert: String, "FILE";
    /// A PEM file with the key of the first certificate
    nats_tls_key: String, "FILE";
    /// Let in only NATS clients that speak TLS [default: true with nats-tls-cert]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    nats_tls_required: bool, "true|false";
    /// Bytes queued for one NATS connection [default: 67108864]
    nats_max_pending_bytes: u64, "BYTES";
    /// Messages queued for one NATS connection [default: 1048576]
    nats_max_pending_messages: u64, "N";
    /// Milliseconds a publish waits for NATS connections whose queue is full; then they are slow
    /// [default: 20]
    nats_wait_ms: u64, "MS";
    /// What becomes of a slow NATS connection: `disconnect` it, or `drop` messages and tell how
    /// many [default: disconnect]
    nats_slow_consumer: String, "disconnect|drop";
    /// Milliseconds in which a NATS client has to take at least one byte of what waits [default:
    /// 10000]
    nats_write_deadline_ms: u64, "MS";
    /// Milliseconds in which all NATS connections are closed, one by one, after SIGUSR2 [default:
    /// 120000]
    nats_lame_duck_duration_ms: u64, "MS";
    /// Milliseconds between SIGUSR2 and the first NATS connection that is closed [default: 10000]
    nats_lame_duck_grace_ms: u64, "MS";
    /// Where push clients connect, or `off` [default: 127.0.0.1:7002]
    push: String, "ADDR|off";
    /// Where datagrams with pushes go, or `off` [default: 127.0.0.1:7001]
    push_udp: String, "ADDR|off";
    /// Where pushes, streams of events and WebSockets are asked for by HTTP, or `off` [default:
    /// 127.0.0.1:7003]
    push_http: String, "ADDR|off";
    /// Pages that may ask by HTTP, besides those of the server's own address: origins with commas
    /// between, or * for all
    push_http_origins: String, "ORIGINS";
    /// Connections by HTTP at the same time [default: 10000]
    push_http_connections: u64, "N";
    /// Pushes a second that one token may send by HTTP [default: 10000]
    push_http_per_second: u64, "N";
    /// A TOML file of keys that sign datagrams
    push_keys_file: PathBuf, "FILE";
    /// A TOML file of tokens: who may get pushes as whom, and who may push. Without it, this
    /// machine may do all
    push_tokens_file: PathBuf, "FILE";
    /// Whose unsigned datagrams are taken: loopback or off [default: loopback]
    push_unsigned: String, "loopback|off";
    /// Seconds by which the time of a signed datagram may differ from ours [default: 30]
    push_signature_age_s: u64, "S";
    /// Push connections at the same time [default: 10000]
    push_connections: u64, "N";
    /// Push connections from one address at the same time [default: 6000]
    push_connections_per_address: u64, "N";
    /// Groups one push connection is in at the same time [default: 32]
    push_groups: u64, "N";
    /// Last pushes kept of each user and group for those who return [default: 32]
    push_replay: u64, "N";
    /// Seconds that a push is kept, unless it says otherwise [default: 60]
    push_ttl_s: u64, "S";
    /// Pushes that wait for full queues at the same time [default: 256]
    push_at_once: u64, "N";
    /// Milliseconds that one push may take [default: 1000]
    push_timeout_ms: u64, "MS";
    /// Milliseconds a push waits for a client whose queue is full [default: 5]
    push_wait_ms: u64, "MS";
    /// Pushes queued for one connection [default: 1024]
    push_queue_messages: u64, "N";
    /// Bytes queued for one push connection [default: 262144]
    push_queue_bytes: u64, "BYTES";
    /// Bytes rendered for one push client that the network has not taken yet [default: 65536]
    push_write_buffer_bytes: u64, "BYTES";
    /// Milliseconds in which a push client has to take at least one byte of what waits [default:
    /// 60000]
    push_write_deadline_ms: u64, "MS";
    /// Milliseconds of silence after which a push client is pinged [default: 5000]
    push_idle_ms: u64, "MS";
    /// Pings without a sign of life after which a push client is let go [default: 3]
    push_idle_misses: u64, "N";
    /// Let a push client go that answers no ping, even if it takes what it is sent [default: true]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    push_idle_answer_required: bool, "true|false";
}
