//! The project's own view: `@api_view(["GET"])`, `@permission_classes([IsAuthenticated])`.

use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::parsers::Parser;
use crate::rest_framework::permissions::Permission;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::request::RequestUser;
use crate::rest_framework::view::{APIView, DirectGet, View};
use crate::rest_framework::views::Response;

const MESSAGE: &str = "This is a secret message.";

/// The view.
pub struct Secret;

impl APIView for Secret {
    const VIEW: View = View {
        name: "Secret",
        description: "",
        renderers: &[Renderer::Json, Renderer::BrowsableApi],
        parsers: &[Parser::Json, Parser::Form, Parser::MultiPart],
        permissions: &[Permission::IsAuthenticated],
        serializer: None,
        head: false,
    };
    const GET: Option<DirectGet> = Some(|| secret().data());
}

/// The answer of the protected view.
#[derive(Object)]
#[oai(rename = "Secret", example)]
struct SecretMessage {
    /// Always the same text.
    message: String,
}

impl Example for SecretMessage {
    fn example() -> Self {
        Self { message: MESSAGE.to_owned() }
    }
}

#[OpenApi]
impl Secret {
    /// Secret
    ///
    /// Answers only to the token of an active user.
    #[oai(path = "/secret", method = "get")]
    async fn get(&self, _user: RequestUser) -> Result<Response<SecretMessage>, APIException> {
        Ok(secret())
    }
}

fn secret() -> Response<SecretMessage> {
    Response(SecretMessage { message: MESSAGE.to_owned() })
}
