//! The median of several rounds, and their spread.

/// The median of the values, and half of their range as a fraction of it.
pub fn median_and_spread(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return (0.0, 0.0) };
    let middle = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    (middle, (most - least) / 2.0 / middle.max(f64::MIN_POSITIVE))
}
