//! `rest_framework.authtoken.serializers`.

use poem_openapi::Object;

use crate::rest_framework::fields::CharField;
use crate::rest_framework::serializers::{Field, Serializer};

/// `AuthTokenSerializer`: what the login accepts.
pub const AUTH_TOKEN: Serializer = Serializer {
    name: "AuthToken",
    fields: &[
        Field {
            name: "username",
            label: "Username",
            read_only: false,
            kind: CharField { trim_whitespace: true },
        },
        Field {
            name: "password",
            label: "Password",
            read_only: false,
            kind: CharField { trim_whitespace: false },
        },
        Field {
            name: "token",
            label: "Token",
            read_only: true,
            kind: CharField { trim_whitespace: true },
        },
    ],
};

/// A username and a password, and the token that they are exchanged for.
#[derive(Object)]
pub struct AuthToken {
    /// The user's name; blanks around it are dropped.
    #[oai(write_only)]
    pub username: String,
    /// The user's password, taken as it is.
    #[oai(write_only)]
    pub password: String,
    /// The user's token: 40 hexadecimal digits where this service or DRF made it.
    #[oai(read_only)]
    pub token: String,
}
