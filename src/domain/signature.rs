//! The signature of evidence: Ed25519 over the bytes of a manifest.
//!
//! The signed bytes are the manifest itself, without a prefix or a hash before, so that an auditor checks the signature with openssl
//! alone. All that is signed with the key must be a manifest: lines of a SHA-256 and a name.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// The key that signs evidence.
#[derive(Clone)]
pub struct EvidenceKey(SigningKey);

/// The key that checks evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why a text is no key. It quotes nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// Not PKCS#8, or of another algorithm.
    #[error("not an Ed25519 key in PKCS#8 PEM")]
    Private,
    /// Not SPKI, of another algorithm, or one of the few keys under which any message has a signature.
    #[error("not an Ed25519 public key in PEM")]
    Public,
}

impl EvidenceKey {
    /// Takes a secret of 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// Reads PKCS#8 PEM.
    ///
    /// # Errors
    /// If the text is no Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, NoKey> {
        SigningKey::from_pkcs8_pem(text.trim()).map(Self).map_err(|_| NoKey::Private)
    }

    /// Writes PKCS#8 PEM.
    ///
    /// # Errors
    /// None in practice: every key has this form.
    pub fn to_pem(&self) -> Result<String, NoKey> {
        self.0.to_pkcs8_pem(LineEnding::LF).map(|it| it.as_str().to_owned()).map_err(|_| NoKey::Private)
    }

    /// Signs a manifest.
    #[must_use]
    pub fn sign(&self, manifest: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(manifest).to_bytes()
    }

    /// The key's public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl std::fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EvidenceKey(…)")
    }
}

impl PublicKey {
    /// Reads SPKI PEM.
    ///
    /// # Errors
    /// If the text is no Ed25519 public key, or a weak one.
    pub fn from_pem(text: &str) -> Result<Self, NoKey> {
        let key = VerifyingKey::from_public_key_pem(text.trim()).map_err(|_| NoKey::Public)?;
        if key.is_weak() { Err(NoKey::Public) } else { Ok(Self(key)) }
    }

    /// Writes SPKI PEM.
    ///
    /// # Errors
    /// None in practice: every key has this form.
    pub fn to_pem(&self) -> Result<String, NoKey> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| NoKey::Public)
    }

    /// SHA-256 of the key's 32 bytes in hexadecimal, by which people compare keys.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }

    /// Whether the signature is of this key and these bytes.
    #[must_use]
    pub fn verifies(&self, manifest: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|it| self.0.verify_strict(manifest, &it).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text_and_signs_what_only_its_public_key_verifies() {
        let key = EvidenceKey::new(&[7; 32]);
        let read = EvidenceKey::from_pem(&format!("\n{}\n", key.to_pem().unwrap())).unwrap();
        assert_eq!(read.public(), key.public());
        let signature = read.sign(b"manifest");
        let public = PublicKey::from_pem(&key.public().to_pem().unwrap()).unwrap();
        assert!(public.verifies(b"manifest", &signature));
        assert!(!public.verifies(b"manifesT", &signature) && !public.verifies(b"manifest", &signature[1..]));
        assert!(!EvidenceKey::new(&[8; 32]).public().verifies(b"manifest", &signature));
    }

    #[test]
    fn text_that_is_no_key_is_refused_and_not_quoted() {
        let public = EvidenceKey::new(&[7; 32]).public().to_pem().unwrap();
        for text in ["", "hush", &public] {
            assert_eq!(EvidenceKey::from_pem(text).unwrap_err(), NoKey::Private);
        }
        assert_eq!(PublicKey::from_pem("hush").unwrap_err(), NoKey::Public);
        let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::from_pem(weak).unwrap_err(), NoKey::Public);
        assert_eq!(format!("{:?}", EvidenceKey::new(&[7; 32])), "EvidenceKey(…)");
    }
}
