//! Random work on the broker: one thread beside a model of it, and many threads at once.

mod model;
mod sequences;
mod threads;
mod world;
