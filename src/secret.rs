//! The project's own view: `@api_view(["GET"])`, `@permission_classes([IsAuthenticated])`.

use poem_openapi::{Object, OpenApi};

use crate::rest_framework::authentication::Authentication;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::parsers::Parser;
use crate::rest_framework::permissions::Permission;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::request::RequestUser;
use crate::rest_framework::view::{APIView, View};
use crate::rest_framework::views::Response;

/// The view.
pub struct Secret;

impl APIView for Secret {
    const VIEW: View = View {
        name: "Secret",
        description: "",
        renderers: &[Renderer::Json, Renderer::BrowsableApi],
        parsers: &[Parser::Json, Parser::Form, Parser::MultiPart],
        authentication: &[Authentication::Token],
        permissions: &[Permission::IsAuthenticated],
        serializer: None,
    };
}

/// The answer of the protected view.
#[derive(Object)]
#[oai(rename = "Secret")]
struct SecretMessage {
    /// Always the same text.
    message: String,
}

#[OpenApi]
impl Secret {
    /// Secret
    ///
    /// Answers only to a user's token.
    #[oai(path = "/secret", method = "get", operation_id = "secret_retrieve")]
    async fn get(&self, _user: RequestUser) -> Result<Response<SecretMessage>, APIException> {
        let message = "This is a secret message.".to_owned();
        Ok(Response(SecretMessage { message }))
    }
}
