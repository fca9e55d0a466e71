//! `rest_framework.authtoken.serializers`.

use poem_openapi::Object;
use poem_openapi::types::Example;

use crate::rest_framework::fields::CharField;
use crate::rest_framework::messages;
use crate::rest_framework::serializers::{Field, Serializer};

/// `AuthTokenSerializer`: what the login accepts.
pub const AUTH_TOKEN: Serializer = Serializer {
    name: "AuthToken",
    fields: &[
        Field {
            name: "username",
            label: messages::USERNAME,
            read_only: false,
            kind: CharField { trim_whitespace: true },
        },
        Field {
            name: "password",
            label: messages::PASSWORD,
            read_only: false,
            kind: CharField { trim_whitespace: false },
        },
        Field {
            name: "token",
            label: messages::TOKEN,
            read_only: true,
            kind: CharField { trim_whitespace: true },
        },
    ],
};

/// What the login wants: the credentials of a user.
#[derive(Object)]
#[oai(example)]
pub struct AuthTokenRequest {
    /// The user's name; blanks around it are dropped.
    #[oai(validator(min_length = 1))]
    pub username: String,
    /// The user's password, taken as it is.
    #[oai(validator(min_length = 1))]
    pub password: String,
}

/// The user's token.
#[derive(Object)]
#[oai(example)]
pub struct AuthToken {
    /// To be sent as `Authorization: Token …`. 40 hexadecimal digits where this service or DRF
    /// made it.
    pub token: String,
}

impl Example for AuthTokenRequest {
    fn example() -> Self {
        Self { username: "alice".to_owned(), password: "wonderland".to_owned() }
    }
}

impl Example for AuthToken {
    fn example() -> Self {
        Self { token: "0123456789abcdef0123456789abcdef01234567".to_owned() }
    }
}
