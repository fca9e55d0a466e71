//! `django.contrib.auth.hashers.check_password`: what it answers.

/// The outcome of a password check. Only the log may tell the reasons apart: the client gets one answer for all.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// The password is right.
    Valid {
        /// The stored hash is not what `make_password` would write today, and is to be replaced.
        must_update: bool,
    },
    /// The password is refused.
    Invalid(Reason),
}

/// Why a password was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is no such user.
    NoSuchUser,
    /// The stored hash is of another password.
    WrongPassword,
    /// The user was given no password (`set_unusable_password`).
    Unusable,
    /// The hash is of a hasher that `PASSWORD_HASHERS` does not list or this server does not know.
    UnknownAlgorithm,
    /// The hash is one that no password matches, or costs more than the [`Bounds`].
    Corrupt,
}
