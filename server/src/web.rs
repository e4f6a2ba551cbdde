//! The pages for browsers: files in the binary, which ask nobody but this server for anything.

use crate::http::{Call, Response, bytes, text};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
};
use hyper::{Method, StatusCode};

/// A file: its path, its content type, and what is in it.
type File = (&'static str, &'static str, &'static str);

macro_rules! files {
    ($($type:ident $path:literal,)*) => {
        &[$((concat!("/web/", $path), $type, content!($type $path)),)*]
    };
}

/// All pages begin alike.
macro_rules! content {
    (HTML $path:literal) => {
        concat!(include_str!("../web/head.html"), include_str!(concat!("../web/", $path)))
    };
    ($type:ident $path:literal) => {
        include_str!(concat!("../web/", $path))
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: &[File] = files![
    SVG "icon.svg",
    CSS "style.css",
    JS "dom.js",
    JS "events.js",
    JS "format.js",
    JS "chart.js",
    HTML "admin/index.html",
    CSS "admin/style.css",
    JS "admin/api.js",
    JS "admin/app.js",
    JS "admin/connections.js",
    JS "admin/flame.js",
    JS "admin/journal.js",
    JS "admin/overview.js",
    JS "admin/profiles.js",
    JS "admin/table.js",
    JS "admin/topics.js",
    JS "admin/try.js",
    HTML "chat/index.html",
    CSS "chat/style.css",
    JS "chat/chat.js",
    JS "chat/connection.js",
    HTML "chat/demo.html",
    CSS "chat/demo.css",
    JS "chat/demo.js",
    JS "chat/lines.js",
    JS "chat/room.js",
    JS "chat/view.js",
    HTML "push/index.html",
    CSS "push/style.css",
    JS "push/push.js",
];

/// The policy for browsers: pages may run and show what is in these files, and ask this server. No
/// text becomes HTML or script, whatever the scripts do with it (`trusted-types 'none'`).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// A page that is among the files.
pub(crate) fn page(path: &str) -> Response {
    file(path).unwrap_or_else(|| text(StatusCode::NOT_FOUND, "there is no such page\n"))
}

/// The file that a request reads. The path `/` stands for `index`.
pub(crate) fn requested(call: &Call, index: &str) -> Option<Response> {
    let path = if call.path() == "/" { index } else { call.path() };
    file(path).filter(|_| matches!(*call.request.method(), Method::GET | Method::HEAD))
}

fn file(path: &str) -> Option<Response> {
    let (_, content_type, text) = FILES.iter().find(|(at, ..)| *at == path)?;
    let mut response = bytes(StatusCode::OK, content_type, *text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(opener, HeaderValue::from_static("same-origin"));
    // A newer server brings newer files.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_only_files_that_are_there_and_no_other_host() {
        for (path, _, text) in FILES {
            let quoted = text.split(['"', '\'', '`']);
            let other =
                |name: &&str| name.contains("//") && !name.starts_with("http://www.w3.org/");
            let hosts: Vec<&str> =
                quoted.clone().filter(other).filter(|name| name.contains("://")).collect();
            assert_eq!(hosts, [""; 0], "{path}");
            for named in quoted.filter(|name| name.starts_with("/web/")) {
                assert!(file(named).is_some(), "{path} names {named}");
            }
        }
    }
}
