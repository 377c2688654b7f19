//! A type per kind of id, so that the compiler catches mix-ups.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::text::{self, form};

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The maximum length in characters, as providers document it. Two such ids in one unique index, at four
            /// bytes a character, stay below the 2,704 bytes at which Postgres refuses the insert.
            pub const MAX_LEN: usize = 255;

            /// Takes an id from another system: 1 to 255 characters, no control characters.
            ///
            /// # Errors
            /// The violated rule, as text.
            pub fn new(text: impl Into<String>) -> Result<Self, &'static str> {
                let text = text.into();
                if text.is_empty() {
                    Err("must not be empty")
                } else if text.chars().nth(Self::MAX_LEN).is_some() {
                    Err("must be at most 255 characters long")
                } else if text.chars().any(char::is_control) {
                    Err("must not contain control characters")
                } else {
                    Ok(Self(text))
                }
            }

            /// The id as the other system sent it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        form!($name, text::printable(Self::MAX_LEN));

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// An account opening. The provider receives it as `reference`.
    OpeningId
);
impl OpeningId {
    /// Reads our id as a provider gives it back: in capitals, without hyphens or in braces.
    #[must_use]
    pub fn echoed(text: &str) -> Option<Self> {
        Uuid::parse_str(text.trim()).ok().map(Self)
    }

    /// The id of one of this opening's effects (P9), derived from the opening's id and the effect's name, which is
    /// unique per opening. After a restored dump or a failover that lost the commit, deciding again yields the same id,
    /// and the other side treats the call as a repeat.
    ///
    /// A `UUIDv8`: the first 48 bits are the timestamp of the opening's id, so index inserts stay at the end; the rest
    /// is SHA-256 of id and name.
    #[must_use]
    pub fn effect(self, name: &str) -> Uuid {
        effect_of(self.0, name)
    }
}

/// The id of the effect `name` of an opening, report or case: see [`OpeningId::effect`].
#[must_use]
pub fn effect_of(id: Uuid, name: &str) -> Uuid {
    let hash = Sha256::new().chain_update(id).chain_update(name).finalize();
    let mut bytes = id.into_bytes();
    bytes[6..].copy_from_slice(&hash[..10]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

uuid_id!(
    /// A fact in the inbox: the evidence that a history row refers to.
    InboxId
);
uuid_id!(
    /// A recorded act of an operator.
    ActId
);
text_id!(
    /// The provider's tracking id for a request that it accepted.
    ProviderRef
);
text_id!(
    /// The user's profile at the profile service.
    ProfileId
);
text_id!(
    /// The virtual card at the card issuer.
    CardId
);

#[cfg(test)]
mod tests {
    use super::*;

    /// F7: the limit counts characters, not bytes.
    #[test]
    fn an_id_has_up_to_255_characters() {
        for mark in ["x", "é", "\u{1d11e}"] {
            assert!(ProviderRef::new(mark.repeat(255)).is_ok(), "{mark}");
            assert!(ProfileId::new(mark.repeat(255)).is_ok() && CardId::new(mark.repeat(255)).is_ok(), "{mark}");
            assert!(ProviderRef::new(mark.repeat(256)).is_err(), "{mark}");
        }
        assert!(ProviderRef::new("").is_err() && ProviderRef::new("a\u{0}").is_err());
    }
}
