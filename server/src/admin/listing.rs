//! Lists of things, a page at a time: JSON for programs, a table for people.

use crate::http::{Call, QueryError, Response, html, json};
use crate::limits::ADMIN_PAGE_ROWS;
use hyper::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::fmt::Write;

/// Names and values in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object(pub Vec<(&'static str, Value)>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (*name, value)))
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub offset: usize,
    pub limit: usize,
}

impl Window {
    /// What the query says, within bounds.
    pub fn of(call: &Call) -> Result<Self, QueryError> {
        let (default, most) = ADMIN_PAGE_ROWS;
        Ok(Self {
            offset: call.number("offset", 0)?,
            limit: call.number("limit", default)?.min(most),
        })
    }
}

/// A page of a list.
pub(super) struct Listing {
    pub title: &'static str,
    /// What the rows are called in JSON.
    pub rows_name: &'static str,
    /// Of the whole list.
    pub summary: Object,
    pub rows: Vec<Object>,
    /// How long the whole list is.
    pub total: usize,
    pub window: Window,
}

impl Listing {
    /// A table for a browser, JSON for all others.
    pub fn respond(self, call: &Call) -> Response {
        match wants_html(call) {
            true => html(StatusCode::OK, self.page(call.path())),
            false => json(StatusCode::OK, &self),
        }
    }

    fn page(&self, path: &str) -> String {
        let mut body = String::new();
        push_facts(&mut body, &self.summary);
        let Window { offset, limit } = self.window;
        let end = offset + self.rows.len();
        let _ = write!(body, "<p>{} to {end} of {}", (offset + 1).min(end), self.total);
        let mut link = |text, offset| {
            let _ = write!(
                body,
                " <a href=\"{}?offset={offset}&amp;limit={limit}\">{text}</a>",
                escape(path)
            );
        };
        if offset > 0 {
            link("before", offset.saturating_sub(limit));
        }
        if end < self.total && !self.rows.is_empty() {
            link("after", end);
        }
        body.push_str("</p>\n");
        push_table(&mut body, &self.rows);
        page(self.title, &body)
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.summary.0 {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("total", &self.total)?;
        map.serialize_entry("offset", &self.window.offset)?;
        map.serialize_entry("limit", &self.window.limit)?;
        map.serialize_entry(self.rows_name, &self.rows)?;
        map.end()
    }
}

/// Facts without a list.
pub(super) fn respond_with_facts(call: &Call, title: &'static str, facts: &Object) -> Response {
    if !wants_html(call) {
        return json(StatusCode::OK, facts);
    }
    let mut body = String::new();
    push_facts(&mut body, facts);
    html(StatusCode::OK, page(title, &body))
}

/// Whether a browser asks: it says that it takes HTML, programs say `*/*` or nothing.
pub(super) fn wants_html(call: &Call) -> bool {
    call.header("accept").is_some_and(|accept| accept.contains("text/html"))
}

/// A page with a heading. The body must have been escaped.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{title} - fanfare</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><p><a href=\"/\">fanfare</a></p>\n<h1>{title}</h1>\n{body}</body></html>\n"
    )
}

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:1em 2em;\
    color-scheme:light dark}\
    table{border-collapse:collapse}td,th{padding:.1em .7em;text-align:left;\
    border-bottom:1px solid #8884}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}";

fn push_facts(out: &mut String, facts: &Object) {
    out.push_str("<table>\n");
    for (name, value) in &facts.0 {
        let _ = writeln!(out, "<tr><th>{}</th>{}</tr>", escape(name), cell(value));
    }
    out.push_str("</table>\n");
}

fn push_table(out: &mut String, rows: &[Object]) {
    let Some(first) = rows.first() else { return };
    out.push_str("<table>\n<tr>");
    for (name, _) in &first.0 {
        let _ = write!(out, "<th>{}</th>", escape(name));
    }
    out.push_str("</tr>\n");
    for row in rows {
        out.push_str("<tr>");
        row.0.iter().for_each(|(_, value)| out.push_str(&cell(value)));
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => format!("<td>{}</td>", escape(text)),
        Value::Number(number) => format!("<td class=\"n\">{number}</td>"),
        Value::Null => "<td></td>".to_owned(),
        other => format!("<td>{}</td>", escape(&other.to_string())),
    }
}

/// Text that a peer can influence, harmless in HTML, also within quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(rows: usize, total: usize, offset: usize) -> Listing {
        let row =
            |number: usize| Object(vec![("name", "<b>\"x\"&'".into()), ("count", number.into())]);
        Listing {
            title: "Things",
            rows_name: "things",
            summary: Object(vec![("zebras", 1.into()), ("apes", 2.into())]),
            rows: (0..rows).map(row).collect(),
            total,
            window: Window { offset, limit: 2 },
        }
    }

    #[test]
    fn json_keeps_the_order_and_says_where_the_page_is() {
        let text = serde_json::to_string(&listing(1, 5, 4)).unwrap();
        let expected = concat!(
            r#"{"zebras":1,"apes":2,"total":5,"offset":4,"limit":2,"#,
            r#""things":[{"name":"<b>\"x\"&'","count":0}]}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_page_escapes_what_it_shows_and_links_to_the_next() {
        let page = listing(2, 5, 2).page("/\"things");
        assert!(
            page.contains("<td>&lt;b&gt;&quot;x&quot;&amp;&#39;</td><td class=\"n\">1</td>"),
            "{page}"
        );
        assert!(page.contains("3 to 4 of 5") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains("<a href=\"/&quot;things?offset=0&amp;limit=2\">before</a>"),
            "{page}"
        );
        assert!(
            page.contains("<a href=\"/&quot;things?offset=4&amp;limit=2\">after</a>"),
            "{page}"
        );
        let last = listing(1, 5, 4).page("/things");
        assert!(last.contains("5 to 5 of 5") && !last.contains("after"), "{last}");
        let beyond = listing(0, 5, 10).page("/things");
        assert!(beyond.contains("before") && !beyond.contains("after"), "{beyond}");
    }
}
