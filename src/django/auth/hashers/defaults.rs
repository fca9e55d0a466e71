//! `django.contrib.auth.hashers`: the attributes that the hasher classes of a Django release have, and what follows.

use super::algorithm::Algorithm;
use super::argon2::Argon2PasswordHasher;
use super::base::PasswordHasher;
use super::bcrypt::BCryptPasswordHasher;
use super::legacy::LegacyPasswordHasher;
use super::pbkdf2::Digest;
use super::scrypt::ScryptPasswordHasher;

/// A hasher by the way in which its work is done.
pub(super) enum Hasher {
    /// By PBKDF2, which can be left and taken up again.
    Derived(Digest),
    /// In one go.
    Whole(WholeHasher),
}

/// A hasher that works in one go.
pub(super) type WholeHasher = Box<dyn PasswordHasher + Send>;

/// What new hashes cost, and what stored ones are measured by.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// `PBKDF2PasswordHasher.iterations`; both digests share it.
    pub iterations: u32,
    pub(super) argon2: Argon2PasswordHasher,
    pub(super) bcrypt_sha256: BCryptPasswordHasher,
    pub(super) bcrypt: BCryptPasswordHasher,
    pub(super) scrypt: ScryptPasswordHasher,
}

impl Defaults {
    /// Those of a release, by (major, minor), if it is known.
    #[must_use]
    pub fn of_django(version: (u8, u8)) -> Option<Self> {
        Some(Self {
            iterations: default_iterations(version)?,
            argon2: Argon2PasswordHasher::DEFAULT,
            bcrypt_sha256: BCryptPasswordHasher::BCRYPT_SHA256,
            bcrypt: BCryptPasswordHasher::BCRYPT,
            scrypt: ScryptPasswordHasher::of_django(version),
        })
    }

    /// An instance of the class.
    pub(super) fn hasher(&self, algorithm: Algorithm) -> Hasher {
        let whole: WholeHasher = match algorithm {
            Algorithm::Pbkdf2Sha256 => return Hasher::Derived(Digest::Sha256),
            Algorithm::Pbkdf2Sha1 => return Hasher::Derived(Digest::Sha1),
            Algorithm::Argon2 => Box::new(self.argon2),
            Algorithm::BcryptSha256 => Box::new(self.bcrypt_sha256),
            Algorithm::Scrypt => Box::new(self.scrypt),
            Algorithm::Bcrypt => Box::new(self.bcrypt),
            Algorithm::Md5 => Box::new(LegacyPasswordHasher::Md5),
            Algorithm::Sha1 => Box::new(LegacyPasswordHasher::Sha1),
            Algorithm::UnsaltedMd5 => Box::new(LegacyPasswordHasher::UnsaltedMd5),
            Algorithm::UnsaltedSha1 => Box::new(LegacyPasswordHasher::UnsaltedSha1),
        };
        Hasher::Whole(whole)
    }
}

/// PBKDF2's default `iterations` of a Django release, by (major, minor). Both digests share it.
#[must_use]
pub fn default_iterations(django_version: (u8, u8)) -> Option<u32> {
    match django_version {
        (4, 2) => Some(600_000),
        (5, 0) => Some(720_000),
        (5, 1) => Some(870_000),
        (5, 2) => Some(1_000_000),
        (6, 0) => Some(1_200_000),
        (6, 1) => Some(1_500_000),
        _ => None,
    }
}
