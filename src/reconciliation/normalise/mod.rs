//! Turns a report file into canonical rows, one bad row at a time into an error, and the file's end into what may be concluded
//! from it.

pub mod row;
