//! Front-ends.
