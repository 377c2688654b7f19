//! Finds what the rows of a slice name, in a number of statements that does not grow with the slice.

pub mod register;
