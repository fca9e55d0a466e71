//! `django.contrib.auth.hashers`: the hasher classes that this server knows.

/// A hasher that this server knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// `PBKDF2PasswordHasher`.
    Pbkdf2Sha256,
    /// `PBKDF2SHA1PasswordHasher`.
    Pbkdf2Sha1,
}

impl Algorithm {
    /// Every hasher, in the order of Django's default `PASSWORD_HASHERS`.
    pub const ALL: [Self; 2] = [Self::Pbkdf2Sha256, Self::Pbkdf2Sha1];

    /// The hasher's `algorithm`: what a stored hash begins with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pbkdf2Sha256 => "pbkdf2_sha256",
            Self::Pbkdf2Sha1 => "pbkdf2_sha1",
        }
    }

    /// The dotted path of the class, as `PASSWORD_HASHERS` lists it.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Pbkdf2Sha256 => "django.contrib.auth.hashers.PBKDF2PasswordHasher",
            Self::Pbkdf2Sha1 => "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
        }
    }

    /// The hasher of an entry of `PASSWORD_HASHERS`.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hasher| hasher.path() == path)
    }
}
