//! A profile in pprof's format, put together from stacks of named frames.

use crate::http::{Response, bytes, text};
use hyper::StatusCode;
use libdd_profiling_protobuf::prost_impls::{
    Function, Label, Line, Location, Message, Profile, Sample, ValueType,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<'f> {
    pub function: Cow<'f, str>,
    pub file: Cow<'f, str>,
    pub line: u32,
}

/// The measure of a sample: a name and a unit, such as `inuse_space` and `bytes`.
pub(super) type Measure = (&'static str, &'static str);

/// Shares what is equal between samples.
pub(super) struct ProfileBuilder {
    profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<(u64, u32), u64>,
}

impl ProfileBuilder {
    /// A profile whose samples have a value for each of `measures`.
    pub fn new(measures: &[Measure]) -> Self {
        let mut builder = Self {
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
        };
        // The format wants the empty text first.
        builder.string("");
        builder.profile.sample_types =
            measures.iter().map(|measure| builder.value_type(*measure)).collect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        builder.profile.time_nanos = nanoseconds(now);
        builder
    }

    /// Says for how long samples were taken, and how much of `measure` lay between two of them.
    pub fn sampled(&mut self, duration: Duration, measure: Measure, period: i64) {
        self.profile.duration_nanos = nanoseconds(duration);
        self.profile.period_type = Some(self.value_type(measure));
        self.profile.period = period;
    }

    /// Adds a sample: its stack, innermost frame first, a value for each measure, and labels.
    pub fn sample<'f>(
        &mut self,
        stack: impl IntoIterator<Item = &'f Frame<'f>>,
        values: &[i64],
        labels: &[(&str, &str)],
    ) {
        let location_ids = stack.into_iter().map(|frame| self.location(frame)).collect();
        let labels = labels.iter().map(|(key, value)| {
            let (key, str) = (self.string(key), self.string(value));
            Label { key, str, ..Label::default() }
        });
        let labels = labels.collect();
        self.profile.samples.push(Sample { location_ids, values: values.to_vec(), labels });
    }

    /// The answer: what `go tool pprof` reads, or with `format=folded` what flame graphs are drawn
    /// from.
    pub fn respond(self, is_folded: bool) -> Response {
        if is_folded {
            return text(StatusCode::OK, self.folded());
        }
        bytes(StatusCode::OK, "application/octet-stream", self.profile.encode_to_vec())
    }

    /// A line for each sample: its frames from the outermost to the innermost, and its last value.
    fn folded(&self) -> String {
        let profile = &self.profile;
        let name = |location: &u64| {
            // Ids begin at 1.
            let function = &profile.locations[*location as usize - 1].lines[0].function_id;
            let name = &profile.functions[*function as usize - 1].name;
            profile.string_table[*name as usize].replace([';', '\n'], ":")
        };
        let lines = profile.samples.iter().map(|sample| {
            let names: Vec<String> = sample.location_ids.iter().rev().map(name).collect();
            format!("{} {}\n", names.join(";"), sample.values.last().unwrap_or(&0))
        });
        lines.collect()
    }

    fn location(&mut self, frame: &Frame<'_>) -> u64 {
        let key = (self.string(&frame.function), self.string(&frame.file));
        let next = self.profile.functions.len() as u64 + 1;
        let function_id = *self.functions.entry(key).or_insert(next);
        if function_id == next {
            let (name, filename) = key;
            // No system name: if both are equal, pprof takes the name for a C++ one and cuts out
            // what is in <>.
            let function = Function { id: next, name, filename, ..Function::default() };
            self.profile.functions.push(function);
        }
        let next = self.profile.locations.len() as u64 + 1;
        let id = *self.locations.entry((function_id, frame.line)).or_insert(next);
        if id == next {
            let lines = vec![Line { function_id, line: frame.line.into() }];
            self.profile.locations.push(Location { id, lines, ..Location::default() });
        }
        id
    }

    fn value_type(&mut self, (name, unit): Measure) -> ValueType {
        ValueType { r#type: self.string(name), unit: self.string(unit) }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
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
        let profile = builder.profile;
        assert_eq!(
            (profile.functions.len(), profile.locations.len(), profile.samples.len()),
            (2, 3, 2)
        );
        assert_eq!(profile.samples[0].location_ids, [1, 2]);
        assert_eq!(profile.samples[1].location_ids, [1, 3]);
        let text = |index: i64| profile.string_table[index as usize].as_str();
        assert_eq!(profile.string_table[0], "");
        assert_eq!(
            (text(profile.sample_types[0].r#type), text(profile.sample_types[0].unit)),
            ("tasks", "count")
        );
        let label = &profile.samples[0].labels[0];
        assert_eq!((text(label.key), text(label.str)), ("waits_for", "room"));
    }
}
