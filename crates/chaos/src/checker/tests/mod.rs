//! A clean run is clean, and every seeded problem is found and located, with no other finding.

mod files;
mod opening;
mod reports;
mod restored;
mod rows;
mod seeds;
mod validity;
mod violations;
mod world;
mod written;
