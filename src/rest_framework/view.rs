//! A view as data: the class attributes of `rest_framework.views.APIView`.

use poem_openapi::OpenApi;
use serde_json::Value;

use super::parsers::Parser;
use super::permissions::Permission;
use super::renderers::Renderer;
use super::serializers::Serializer;

/// The class attributes of a view, but for `authentication_classes`: all have the site's default. OPTIONS, `Allow`, `Vary`, negotiation and the OpenAPI
/// document all read them here.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// `get_view_name`.
    pub name: &'static str,
    /// `get_view_description`.
    pub description: &'static str,
    /// `renderer_classes`; the first one answers where nothing was negotiated.
    pub renderers: &'static [Renderer],
    /// `parser_classes`.
    pub parsers: &'static [Parser],
    /// `permission_classes`.
    pub permissions: &'static [Permission],
    /// `serializer_class`.
    pub serializer: Option<&'static Serializer>,
    /// Whether HEAD is answered as GET: a class with `get` does that, `@api_view(["GET"])` not.
    pub head: bool,
}

/// A type with an `#[OpenApi]` impl on exactly one path: its handlers are the methods of a view.
pub trait APIView: OpenApi {
    /// The view's attributes.
    const VIEW: View;
    /// What the GET handler answers, always the same, for a view that is asked so often that the way to the handler
    /// counts.
    const GET: Option<DirectGet> = None;
}

/// The data of an answer that needs no more than the permission to ask.
pub type DirectGet = fn() -> Value;
