//! A clean run is clean, and whatever is put wrong in it is found, located, and nothing else is.

mod files;
mod opening;
mod restored;
mod rows;
mod seeds;
mod validity;
mod violations;
mod world;
mod written;
