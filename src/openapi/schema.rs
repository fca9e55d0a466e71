//! `drf_spectacular.views.SpectacularAPIView`: answers the document.

use poem::Request;
use poem_openapi::OpenApi;
use poem_openapi::types::Any;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Dialect;
use crate::django::http::request::root_uri;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::parsers::Parser;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::request::RequestState;
use crate::rest_framework::view::{APIView, View};
use crate::rest_framework::views::Response;

/// The view, with the documents as they are without a request.
#[derive(Default)]
pub struct Schema {
    /// The true one.
    pub own: Value,
    /// What drf-spectacular makes.
    pub spectacular: Value,
}

impl APIView for Schema {
    const VIEW: View = View {
        name: "Schema",
        description: "",
        renderers: &[
            Renderer::OpenApiYaml,
            Renderer::OpenApiYaml2,
            Renderer::OpenApiJson,
            Renderer::OpenApiJson2,
        ],
        parsers: &[Parser::Json, Parser::Form, Parser::MultiPart],
        permissions: &[],
        serializer: None,
        head: true,
    };
}

#[OpenApi]
impl Schema {
    /// This document
    ///
    /// As YAML, or as JSON where `Accept` or `?format=json` asks for it. It is made from the code
    /// and the settings that serve the request.
    #[oai(path = "/api/schema", method = "get")]
    async fn get(
        &self,
        request: &Request,
        RequestState(state): RequestState,
    ) -> Result<Response<Any<Value>>, APIException> {
        let query = request.original_uri().query().unwrap_or_default();
        let dialect =
            form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "dialect");
        let dialect = dialect.last().map(|(_, value)| value);
        let document = match Dialect::from_query(dialect.as_deref())? {
            Dialect::DrfSpectacular => self.spectacular.clone(),
            Dialect::DrfAuthtoken => {
                let mut document = self.own.clone();
                let local = request.local_addr().as_socket_addr().copied();
                let url = root_uri(request.headers(), local, &state.settings);
                if let Some(servers) = document.get_mut("servers") {
                    *servers = json!([{ "url": url }]);
                }
                document
            }
        };
        Ok(Response(Any(document)))
    }
}
