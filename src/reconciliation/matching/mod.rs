//! Finds what the rows of a slice name, in a fixed number of statements whatever the slice holds.

pub mod register;
