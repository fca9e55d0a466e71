//! `django.contrib.auth.hashers`: the hasher classes, and which of them a stored hash is of.

use super::legacy::LegacyPasswordHasher;

/// Where Django's classes stand.
const MODULE: &str = "django.contrib.auth.hashers.";

/// A hasher class of Django.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// `PBKDF2PasswordHasher`.
    Pbkdf2Sha256,
    /// `PBKDF2SHA1PasswordHasher`.
    Pbkdf2Sha1,
    /// `Argon2PasswordHasher`.
    Argon2,
    /// `BCryptSHA256PasswordHasher`.
    BcryptSha256,
    /// `ScryptPasswordHasher`.
    Scrypt,
    /// `BCryptPasswordHasher`.
    Bcrypt,
    /// `MD5PasswordHasher`.
    Md5,
    /// `SHA1PasswordHasher`, which Django 5.1 removed.
    Sha1,
    /// `UnsaltedMD5PasswordHasher`, which Django 5.1 removed.
    UnsaltedMd5,
    /// `UnsaltedSHA1PasswordHasher`, which Django 5.1 removed.
    UnsaltedSha1,
}

impl Algorithm {
    /// Every hasher: first the five of Django's default `PASSWORD_HASHERS`, in its order.
    pub const ALL: [Self; 10] = [
        Self::Pbkdf2Sha256,
        Self::Pbkdf2Sha1,
        Self::Argon2,
        Self::BcryptSha256,
        Self::Scrypt,
        Self::Bcrypt,
        Self::Md5,
        Self::Sha1,
        Self::UnsaltedMd5,
        Self::UnsaltedSha1,
    ];

    /// The class's `algorithm`: what most stored hashes begin with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pbkdf2Sha256 => "pbkdf2_sha256",
            Self::Pbkdf2Sha1 => "pbkdf2_sha1",
            Self::Argon2 => "argon2",
            Self::BcryptSha256 => "bcrypt_sha256",
            Self::Scrypt => "scrypt",
            Self::Bcrypt => "bcrypt",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::UnsaltedMd5 => "unsalted_md5",
            Self::UnsaltedSha1 => "unsalted_sha1",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Pbkdf2Sha256 => "PBKDF2PasswordHasher",
            Self::Pbkdf2Sha1 => "PBKDF2SHA1PasswordHasher",
            Self::Argon2 => "Argon2PasswordHasher",
            Self::BcryptSha256 => "BCryptSHA256PasswordHasher",
            Self::Scrypt => "ScryptPasswordHasher",
            Self::Bcrypt => "BCryptPasswordHasher",
            Self::Md5 => "MD5PasswordHasher",
            Self::Sha1 => "SHA1PasswordHasher",
            Self::UnsaltedMd5 => "UnsaltedMD5PasswordHasher",
            Self::UnsaltedSha1 => "UnsaltedSHA1PasswordHasher",
        }
    }

    /// The dotted path of the class, as `PASSWORD_HASHERS` lists it.
    #[must_use]
    pub fn path(self) -> String {
        format!("{MODULE}{}", self.class())
    }

    /// The hasher of an entry of `PASSWORD_HASHERS`.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let class = path.strip_prefix(MODULE)?;
        Self::ALL.into_iter().find(|hasher| hasher.class() == class)
    }

    /// `identify_hasher`, whether or not the hasher is listed.
    pub(super) fn identify(encoded: &str) -> Option<Self> {
        match LegacyPasswordHasher::identify_unsalted(encoded) {
            Some(LegacyPasswordHasher::UnsaltedMd5) => Some(Self::UnsaltedMd5),
            Some(LegacyPasswordHasher::UnsaltedSha1) => Some(Self::UnsaltedSha1),
            _ => {
                let name = encoded.split('$').next()?;
                Self::ALL.into_iter().find(|hasher| hasher.name() == name)
            }
        }
    }
}
