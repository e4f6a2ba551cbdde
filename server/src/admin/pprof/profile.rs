//! A profile in pprof's format, put together from stacks of named frames.

use super::protobuf::Message;
use crate::http::{Response, bytes, text};
use hyper::StatusCode;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<'f> {
    pub function: Cow<'f, str>,
    pub file: Cow<'f, str>,
    pub line: u32,
}

/// What a sample counts: a name and a unit, such as `inuse_space` and `bytes`.
pub(super) type Measure = (&'static str, &'static str);

/// Shares what is equal between samples.
pub(super) struct ProfileBuilder {
    /// What is known of the profile as a whole, as its message has it.
    head: Message,
    samples: Vec<Sample>,
    /// Function and line. An id is a place in the list, counted from one.
    locations: Unique<(u64, u32)>,
    /// Name and file.
    functions: Unique<(u64, u64)>,
    strings: Unique<String>,
}

struct Sample {
    location_ids: Vec<u64>,
    values: Vec<u64>,
    /// Keys and texts.
    labels: Vec<(u64, u64)>,
}

impl ProfileBuilder {
    /// A profile whose samples have a value for each of `measures`.
    pub fn new(measures: &[Measure]) -> Self {
        let mut builder = Self {
            head: Message::default(),
            samples: Vec::new(),
            locations: Unique::default(),
            functions: Unique::default(),
            strings: Unique::default(),
        };
        // The format wants the empty text first.
        builder.string("");
        for measure in measures {
            let measure = builder.value_type(*measure);
            builder.head.message(1, measure);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        builder.head.number(9, now.as_nanos() as u64);
        builder
    }

    /// Says for how long samples were taken, and how much of `measure` lay between two of them.
    pub fn sampled(&mut self, duration: Duration, measure: Measure, period: i64) {
        self.head.number(10, duration.as_nanos() as u64);
        let measure = self.value_type(measure);
        self.head.message(11, measure);
        self.head.number(12, period as u64);
    }

    /// Adds a sample: its stack, innermost frame first, a value for each measure, and labels.
    pub fn sample<'f>(
        &mut self,
        stack: impl IntoIterator<Item = &'f Frame<'f>>,
        values: &[i64],
        labels: &[(&str, &str)],
    ) {
        let location_ids = stack.into_iter().map(|frame| self.location(frame)).collect();
        let labels = labels.iter().map(|(key, value)| (self.string(key), self.string(value)));
        let labels = labels.collect();
        let values = values.iter().map(|value| *value as u64).collect();
        self.samples.push(Sample { location_ids, values, labels });
    }

    /// The answer: what `go tool pprof` reads, or with `format=folded` what flame graphs are drawn
    /// from.
    pub fn respond(self, is_folded: bool) -> Response {
        if is_folded {
            return text(StatusCode::OK, self.folded());
        }
        bytes(StatusCode::OK, "application/octet-stream", self.encoded())
    }

    /// A line for each sample: its frames from the outermost to the innermost, and its last value.
    fn folded(&self) -> String {
        let name = |location: &u64| {
            let (function, _) = self.locations.get(*location);
            let (name, _) = self.functions.get(*function);
            self.strings.get(*name + 1).replace([';', '\n'], ":")
        };
        let lines = self.samples.iter().map(|sample| {
            let names: Vec<String> = sample.location_ids.iter().rev().map(name).collect();
            format!("{} {}\n", names.join(";"), sample.values.last().unwrap_or(&0))
        });
        lines.collect()
    }

    /// As pprof's `profile.proto` numbers the fields.
    fn encoded(self) -> Vec<u8> {
        let mut profile = self.head;
        for Sample { location_ids, values, labels } in self.samples {
            let mut sample = Message::default();
            sample.numbers(1, location_ids);
            sample.numbers(2, values);
            for (key, value) in labels {
                sample.message(3, pair(key, value));
            }
            profile.message(2, sample);
        }
        for (id, (function_id, line)) in (1..).zip(self.locations.list) {
            let mut location = Message::default();
            location.number(1, id);
            location.message(4, pair(function_id, line.into()));
            profile.message(4, location);
        }
        for (id, (name, file)) in (1..).zip(self.functions.list) {
            // No system name (3): where both are equal, pprof takes the name for one of C++ and
            // cuts out what is in <>.
            let mut function = pair(id, name);
            function.number(4, file);
            profile.message(5, function);
        }
        self.strings.list.iter().for_each(|string| profile.text(6, string));
        profile.into_bytes()
    }

    fn location(&mut self, frame: &Frame<'_>) -> u64 {
        let function = (self.string(&frame.function), self.string(&frame.file));
        self.locations.id((self.functions.id(function), frame.line))
    }

    fn value_type(&mut self, (name, unit): Measure) -> Message {
        pair(self.string(name), self.string(unit))
    }

    /// Strings are counted from zero.
    fn string(&mut self, text: &str) -> u64 {
        self.strings.id(text.to_owned()) - 1
    }
}

/// Fields 1 and 2, which are numbers.
fn pair(first: u64, second: u64) -> Message {
    let mut message = Message::default();
    message.number(1, first);
    message.number(2, second);
    message
}

/// A list without repetition.
struct Unique<T> {
    list: Vec<T>,
    ids: HashMap<T, u64>,
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self { list: Vec::new(), ids: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Unique<T> {
    /// Its place in the list, counted from one.
    fn id(&mut self, value: T) -> u64 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        self.list.push(value.clone());
        let id = self.list.len() as u64;
        self.ids.insert(value, id);
        id
    }

    fn get(&self, id: u64) -> &T {
        &self.list[id as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &'static str, line: u32) -> Frame<'static> {
        Frame { function: function.into(), file: "a.rs".into(), line }
    }

    #[test]
    fn equal_places_are_kept_once() {
        let mut builder = ProfileBuilder::new(&[("tasks", "count")]);
        builder.sample(&[frame("inner", 1), frame("outer", 2)], &[3], &[("waits_for", "room")]);
        builder.sample(&[frame("inner", 1), frame("outer", 9)], &[4], &[]);
        assert_eq!(builder.folded(), "outer;inner 3\nouter;inner 4\n");
        let samples = &builder.samples;
        assert_eq!(
            (&*samples[0].location_ids, &*samples[1].location_ids),
            (&[1, 2][..], &[1, 3][..])
        );
        assert_eq!((builder.functions.list.len(), builder.locations.list.len()), (2, 3));
        let (key, value) = samples[0].labels[0];
        let strings = &builder.strings.list;
        assert_eq!((&*strings[key as usize], &*strings[value as usize]), ("waits_for", "room"));
        assert_eq!((&*strings[0], &*strings[1], &*strings[2]), ("", "tasks", "count"));
    }
}
