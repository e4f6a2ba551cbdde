//! Figures that only one front-end has. The front-end names them: nothing here
//! knows what they mean.

/// A metric family: figures with one name, as OpenMetrics has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The family's name, without unit and without `total`.
    pub name: &'static str,
    /// The help text.
    pub help: &'static str,
    /// Whether the figures can fall.
    pub kind: FamilyKind,
    /// The values.
    pub figures: Vec<Figure>,
}

/// The kind of a [`Family`]'s values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// The values only grow.
    Counter,
    /// The values are those of this moment.
    Gauge,
}

/// One value, with labels of our own words: whatever peers do, there are no more of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The labels; empty if this is the only value.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The value.
    pub value: u64,
    /// The name in `/varz`, where the server is shown at a glance; `None` if it is not shown there.
    pub at_a_glance: Option<&'static str>,
}

impl Family {
    /// A counter without labels.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::of(name, help, FamilyKind::Counter, vec![Figure::new(Vec::new(), value)])
    }

    /// A gauge without labels.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::of(name, help, FamilyKind::Gauge, vec![Figure::new(Vec::new(), value)])
    }

    /// Gauges with labels.
    pub fn gauges(name: &'static str, help: &'static str, figures: Vec<Figure>) -> Self {
        Self::of(name, help, FamilyKind::Gauge, figures)
    }

    /// Counters with labels.
    pub fn counters(name: &'static str, help: &'static str, figures: Vec<Figure>) -> Self {
        Self::of(name, help, FamilyKind::Counter, figures)
    }

    fn of(name: &'static str, help: &'static str, kind: FamilyKind, figures: Vec<Figure>) -> Self {
        Self { name, help, kind, figures }
    }
}

impl Figure {
    /// A value that `/varz` does not show.
    pub fn new(labels: Vec<(&'static str, &'static str)>, value: u64) -> Self {
        Self { labels, value, at_a_glance: None }
    }

    /// Makes `/varz` show the value under this name.
    pub fn at_a_glance(self, name: &'static str) -> Self {
        Self { at_a_glance: Some(name), ..self }
    }
}
