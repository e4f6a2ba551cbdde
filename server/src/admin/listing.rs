//! Lists of things, a page at a time, as JSON. The dashboard shows them to people.

use crate::http::{Asked, QueryError, Response, json};
use crate::limits::ADMIN_PAGE_ROWS;
use hyper::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// Names and values in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object(pub Vec<(&'static str, Value)>);

impl Object {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

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
    pub fn of(call: &Asked) -> Result<Self, QueryError> {
        let (default, most) = ADMIN_PAGE_ROWS;
        Ok(Self {
            offset: call.number("offset", 0)?,
            limit: call.number("limit", default)?.min(most),
        })
    }
}

/// A page of a list.
pub(super) struct Listing {
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
    pub fn respond(&self) -> Response {
        json(StatusCode::OK, self)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(rows: usize, total: usize, offset: usize) -> Listing {
        let row =
            |number: usize| Object(vec![("name", "<b>\"x\"&'".into()), ("count", number.into())]);
        Listing {
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
}
