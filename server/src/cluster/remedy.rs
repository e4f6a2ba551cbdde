//! What to do when there is no link.

/// What the operator can do, by the reason for which a link ended or an attempt failed. Empty:
/// nothing, since dialling the next hub is enough.
pub(super) fn remedy(reason: &str, had_joined: bool) -> &'static str {
    match reason {
        "cannot be reached" => "check the address, and that the hub has leafnodes { listen } there",
        "not a hub" => "this port is not for leaf nodes: dial the hub's leafnodes port (7422)",
        "peer closed" if !had_joined => {
            "check that the hub's leafnodes listen there; if they have handshake_first, set \
             cluster-tls-handshake-first"
        }
        "no answer from the hub" => "check that this is the hub's port for leafnodes",
        "not authorized" => "check user, password, token, seed or credentials on both sides",
        "authentication expired" => "renew the credentials, then send SIGHUP",
        "version too old" => "the hub's leafnodes have a min_version above 2.9.10: lower it",
        "name of the cluster" => "the hub's cluster has this name: set another cluster-name",
        "name used twice" => "another server has this name: set another cluster-name",
        "loop" => "two links of one account lead to the same cluster: remove one",
        "too many subscriptions" => "raise the limit of subscriptions at the hub",
        "TLS required" => "set cluster-tls-ca",
        "no TLS" => "remove cluster-tls-ca, or turn on TLS for the hub's leafnodes",
        "TLS handshake failed" => {
            "check cluster-tls-ca, the name in the hub's certificate, and that both sides have \
             handshake_first or neither"
        }
        _ => "",
    }
}
