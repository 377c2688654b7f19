//! String enums, and the schemas of string types in the API description.
//!
//! One list gives an enum its names, parser, serialisation and schema. A schema is built from the constants of the
//! check, so description and check cannot drift apart.

use utoipa::openapi::schema::{ObjectBuilder, Type};

/// Declares an enum. Its variants are fixed strings in JSON and in the database.
macro_rules! string_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The variant's string in JSON and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::text::UnknownWord;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word).ok_or_else(|| {
                    $crate::domain::text::UnknownWord {
                        takes: Self::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }

        impl $crate::domain::text::StringEnum for $name {}

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        $crate::domain::text::form!($name, $crate::domain::text::one_of(Self::ALL.iter().map(|it| it.as_str())));
    };
}

/// An enum declared with `string_enum!`.
pub trait StringEnum: std::str::FromStr<Err = UnknownWord> {}

/// Implements the API schema of a string type.
macro_rules! form {
    ($name:ty, $schema:expr) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

/// The control characters ([`char::is_control`]), for a regular expression class.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";

/// The control characters except tabs and line ends.
const CONTROL_IN_LINES: &str = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f";

/// White space ([`char::is_whitespace`]) except control characters, for a regular expression class.
pub(crate) const SPACE: &str = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A text that matches the whole regular expression.
pub(crate) fn matching(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(format!("^{pattern}$")))
}

/// A text of 1 to `most` characters without control characters.
pub(crate) fn printable(most: usize) -> ObjectBuilder {
    matching(&format!("[^{CONTROL}]+")).min_length(Some(1)).max_length(Some(most))
}

/// A text of 1 to `most` characters without control characters and not only white space.
pub(crate) fn line(most: usize) -> ObjectBuilder {
    not_only_spaces(CONTROL, most)
}

/// Like [`line`], but tabs and line ends are allowed.
pub(crate) fn lines(most: usize) -> ObjectBuilder {
    not_only_spaces(CONTROL_IN_LINES, most)
}

/// The check that belongs to [`line`].
///
/// # Errors
/// The requirement, without the text.
pub fn check_line(text: &str, most: usize) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().nth(most).is_some() {
        Err(format!("must be 1 to {most} characters long, and not only spaces"))
    } else if text.chars().any(char::is_control) {
        Err("must not contain control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// The check that belongs to [`lines`].
///
/// # Errors
/// The requirement, without the text.
pub fn check_lines(text: &str, most: usize) -> Result<String, String> {
    check_line(&text.replace(['\n', '\r', '\t'], " "), most).map(|_| text.to_owned())
}

fn not_only_spaces(refused: &str, most: usize) -> ObjectBuilder {
    let pattern = format!("[^{refused}]*[^{CONTROL}{SPACE}][^{refused}]*");
    matching(&pattern).min_length(Some(1)).max_length(Some(most))
}

pub(crate) fn one_of<Word: Into<serde_json::Value>>(words: impl Iterator<Item = Word>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

/// The codes of `len` capital letters that pass the check, in order.
pub(crate) fn codes(len: u32, passes: impl Fn(&str) -> bool) -> Vec<String> {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap_or_default());
    let code = |n: usize| (0..len).rev().map(|place| letter(n / 26_usize.pow(place))).collect::<String>();
    (0..26_usize.pow(len)).map(code).filter(|code| passes(code)).collect()
}

/// A text that is none of an enum's strings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: {takes}")]
pub struct UnknownWord {
    /// The accepted strings, separated by commas.
    pub takes: String,
}

pub(crate) use {form, string_enum};

/// Returns a check of texts against the schema of a type.
#[cfg(test)]
pub(crate) fn form_of<T: utoipa::PartialSchema>() -> impl Fn(&str) -> bool {
    let form = serde_json::to_value(T::schema()).unwrap();
    let pattern = form["pattern"].as_str().map(|it| regex::Regex::new(it).unwrap());
    move |text| {
        let (length, bound) = (text.chars().count() as u64, |name: &str| form[name].as_u64());
        bound("minLength").is_none_or(|min| length >= min)
            && bound("maxLength").is_none_or(|max| length <= max)
            && pattern.as_ref().is_none_or(|it| it.is_match(text))
            && form["enum"].as_array().is_none_or(|words| words.iter().any(|it| it == text))
    }
}
