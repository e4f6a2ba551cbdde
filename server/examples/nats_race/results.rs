//! What was measured, and its medians.

use super::measuring::Figure;
use super::peers::Kind;
use super::rows::Row;
use testkit::measure::median::median_and_spread;

/// One figure of one row: its value for each peer, round by round.
pub struct Measured {
    pub row: Row,
    pub figure: &'static str,
    values: Vec<(Kind, Vec<f64>)>,
}

impl Measured {
    pub fn values(&self, kind: Kind) -> Option<&[f64]> {
        self.values.iter().find(|(of, _)| *of == kind).map(|(_, values)| values.as_slice())
    }

    /// The median of the rounds, and half of their range as a part of it.
    pub fn median_and_spread(&self, kind: Kind) -> Option<(f64, f64)> {
        self.values(kind).map(median_and_spread)
    }

    /// The median of the ratios round by round: what two peers reached within the same moment.
    pub fn ratio(&self, of: Kind, to: Kind) -> Option<f64> {
        let pairs = self.values(of)?.iter().zip(self.values(to)?);
        Some(median_and_spread(&pairs.map(|(of, to)| of / to).collect::<Vec<_>>()).0)
    }
}

#[derive(Default)]
pub struct Results {
    /// In the order of the rows.
    pub all: Vec<Measured>,
}

impl Results {
    pub fn add(&mut self, row: &Row, kind: Kind, figures: Vec<Figure>) {
        for (figure, value) in figures {
            let place =
                self.all.iter().position(|one| one.row.name == row.name && one.figure == figure);
            let place = place.unwrap_or_else(|| {
                self.all.push(Measured { row: row.clone(), figure, values: Vec::new() });
                self.all.len() - 1
            });
            let values = &mut self.all[place].values;
            match values.iter_mut().find(|(of, _)| *of == kind) {
                Some((_, values)) => values.push(value),
                None => values.push((kind, vec![value])),
            }
        }
    }

    #[cfg(test)]
    pub fn has(&self, row: &Row, kind: Kind) -> bool {
        self.all.iter().any(|one| one.row.name == row.name && one.values(kind).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats_race::rows;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (row, mut results) = (&rows::all()[0], Results::default());
        for (fanfare, nats) in [(10.0, 1.0), (30.0, 2.0), (8.0, 4.0)] {
            results.add(row, Kind::Fanfare, vec![("x", fanfare)]);
            results.add(row, Kind::NatsServer, vec![("x", nats)]);
        }
        let [measured] = &results.all[..] else { panic!("one figure of one row") };
        assert_eq!(measured.ratio(Kind::Fanfare, Kind::NatsServer), Some(10.0));
        assert_eq!(measured.median_and_spread(Kind::Fanfare).map(|(median, _)| median), Some(10.0));
        assert_eq!(measured.ratio(Kind::Fanfare, Kind::Redis), None);
    }
}
