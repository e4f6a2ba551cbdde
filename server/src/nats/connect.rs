//! A client's `CONNECT`.

use crate::codec::certificate::CertificateNames;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The options of a connection.
///
/// The defaults are nats-server's, observed: verbose and pedantic *until a client says otherwise*,
/// which all libraries do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Whether the client wants a `+OK` for every operation.
    pub verbose: bool,
    /// Whether the client wants errors for subjects that nobody can subscribe to.
    pub pedantic: bool,
    /// Whether the client gets what it publishes itself.
    pub echo: bool,
    /// Whether the client understands `HMSG`.
    pub headers: bool,
    /// Whether the client wants to be told when nobody is there to answer a request.
    pub no_responders: bool,
    /// The protocol version: 0 or 1.
    pub protocol: i64,
    /// All other options, in a box since they do not matter for long.
    pub words: Option<Box<Words>>,
}

/// A client's words about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub credentials: Credentials,
    /// The account that the client asks for. There are none here.
    pub account: Option<String>,
    pub name: Option<String>,
    /// Its library's language.
    pub lang: Option<String>,
    /// Its library's version.
    pub version: Option<String>,
}

/// A client's credentials, which `Debug` does not show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub user: Option<String>,
    /// `pass`
    pub password: Option<String>,
    /// `auth_token`
    pub token: Option<String>,
    /// `nkey`: a public key.
    pub nkey: Option<String>,
    /// `sig`: with that key, of the nonce in `INFO`.
    pub signature: Option<String>,
    /// Whom the client's certificate names, which it showed before `CONNECT`.
    pub certificate: Option<Arc<CertificateNames>>,
}

impl Credentials {
    /// Whether the client did not say who it is.
    pub fn is_nothing(&self) -> bool {
        let Self { user, password, token, nkey, signature, certificate: _ } = self;
        [user, password, token, nkey, signature].iter().all(|said| said.is_none())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            protocol: 0,
            words: None,
        }
    }
}

/// The JSON of a `CONNECT` is invalid, or a value in it has the wrong type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOptions;

impl ConnectOptions {
    /// Takes over what `json` says; all else stays as it was. (Observed: a second `CONNECT` changes
    /// what it names, letters of a name may be in any case, `null` says nothing, what is unknown is
    /// passed over, so are bytes that are not UTF-8.)
    ///
    /// # Errors
    /// The connection is to be closed without a word; nothing of this `CONNECT` may be used.
    pub fn update(&mut self, json: &[u8]) -> Result<(), NotOptions> {
        match serde_json::from_str(&String::from_utf8_lossy(json)).map_err(|_| NotOptions)? {
            Value::Null => Ok(()),
            Value::Object(fields) => fields
                .into_iter()
                .try_for_each(|(name, value)| self.set(&name.to_ascii_lowercase(), value)),
            _ => Err(NotOptions),
        }
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), NotOptions> {
        let words = self.words.get_or_insert_default();
        match name {
            "verbose" => set_flag(&mut self.verbose, &value),
            "pedantic" => set_flag(&mut self.pedantic, &value),
            "echo" => set_flag(&mut self.echo, &value),
            "headers" => set_flag(&mut self.headers, &value),
            "no_responders" => set_flag(&mut self.no_responders, &value),
            "user" => set_text(&mut words.credentials.user, value),
            "pass" => set_text(&mut words.credentials.password, value),
            "auth_token" => set_text(&mut words.credentials.token, value),
            "nkey" => set_text(&mut words.credentials.nkey, value),
            "sig" => set_text(&mut words.credentials.signature, value),
            "account" => set_text(&mut words.account, value),
            "name" => set_text(&mut words.name, value),
            "lang" => set_text(&mut words.lang, value),
            "version" => set_text(&mut words.version, value),
            "protocol" => match value {
                Value::Null => Ok(()),
                value => value.as_i64().map(|protocol| self.protocol = protocol).ok_or(NotOptions),
            },
            _ => Ok(()),
        }
    }
}

fn set_flag(flag: &mut bool, value: &Value) -> Result<(), NotOptions> {
    match value {
        Value::Null => Ok(()),
        Value::Bool(value) => {
            *flag = *value;
            Ok(())
        }
        _ => Err(NotOptions),
    }
}

/// An empty text is none, as in Go.
fn set_text(text: &mut Option<String>, value: Value) -> Result<(), NotOptions> {
    match value {
        Value::Null => Ok(()),
        Value::String(value) => {
            *text = (!value.is_empty()).then_some(value);
            Ok(())
        }
        _ => Err(NotOptions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> Result<ConnectOptions, NotOptions> {
        let mut options = ConnectOptions::default();
        options.update(json.as_bytes()).map(|()| options)
    }

    #[test]
    fn unset_settings_are_as_in_nats_server() {
        let silent = options("{}").unwrap();
        assert!(
            silent.verbose
                && silent.pedantic
                && silent.echo
                && !silent.headers
                && !silent.no_responders
        );
        assert_eq!((options("null").unwrap(), silent.protocol), (silent, 0));
    }

    #[test]
    fn the_connect_of_the_libraries_is_understood() {
        let sent = r#"{"verbose":false,"pedantic":false,"user":"a","pass":"b","auth_token":"",
            "tls_required":false,"name":"it","lang":"rust","version":"1","protocol":1,"echo":false,
            "headers":true,"no_responders":true,"new":[1]}"#;
        let said = options(sent).unwrap();
        assert!(
            !said.verbose && !said.pedantic && !said.echo && said.headers && said.no_responders
        );
        let words = said.words.unwrap();
        assert_eq!(
            (words.credentials.user.as_deref(), words.credentials.password.as_deref()),
            (Some("a"), Some("b"))
        );
        assert_eq!((words.credentials.token, said.protocol, words.account), (None, 1, None));
        assert_eq!(
            (words.name.as_deref(), words.lang.as_deref(), words.version.as_deref()),
            (Some("it"), Some("rust"), Some("1"))
        );
    }

    #[test]
    fn a_second_one_changes_what_it_names() {
        let mut options = options(r#"{"verbose":false,"name":"first"}"#).unwrap();
        options.update(br#"{"ECHO":false,"verbose":null}"#).unwrap();
        assert_eq!(
            (options.verbose, options.echo, options.words.unwrap().name.as_deref()),
            (false, false, Some("first"))
        );
    }

    #[test]
    fn wrong_types_and_what_is_no_json_are_refused() {
        for wrong in [
            "",
            "{",
            "[]",
            "1",
            "{} x",
            r#"{"verbose":"yes"}"#,
            r#"{"user":1}"#,
            r#"{"protocol":"1"}"#,
        ] {
            assert_eq!(options(wrong).err(), Some(NotOptions), "{wrong}");
        }
    }
}
