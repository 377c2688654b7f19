//! Fingerprints that identify a secret without revealing it.

use sha2::{Digest, Sha256};

/// The first 12 hex digits of the SHA-256 of a secret as configured: `printf %s "$SECRET" | sha256sum | cut -c1-12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 6]);

impl Fingerprint {
    /// The fingerprint of this secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let digest = Sha256::digest(secret.as_bytes());
        Self(std::array::from_fn(|at| digest[at]))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answer: FIPS 180-2, "abc".
    #[test]
    fn a_fingerprint_is_the_head_of_the_sha_256() {
        assert_eq!(Fingerprint::of("abc").to_string(), "ba7816bf8f01");
    }
}
