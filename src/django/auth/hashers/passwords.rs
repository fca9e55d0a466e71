//! `django.contrib.auth.hashers`: the two secret texts of a check, the typed one and the stored one.

use std::fmt;

use zeroize::Zeroizing;

use crate::memory::TypedText;

/// A password as the user typed it. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct Password(TypedText);

impl Password {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.0.held_bytes()
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password.into())
    }
}

impl From<TypedText> for Password {
    fn from(password: TypedText) -> Self {
        Self(password)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What stands in the user's `password` column. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct EncodedPassword(Zeroizing<String>);

impl EncodedPassword {
    /// Stands for a column that holds no text: a hash of no hasher.
    #[must_use]
    pub fn unreadable() -> Self {
        Self::from("\u{fffd}".to_owned())
    }

    /// The text of the column.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for EncodedPassword {
    fn from(encoded: String) -> Self {
        Self(Zeroizing::new(encoded))
    }
}

impl fmt::Debug for EncodedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodedPassword")
    }
}
