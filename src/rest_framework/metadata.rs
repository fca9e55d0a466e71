//! `rest_framework.metadata.SimpleMetadata`: what OPTIONS answers.

use serde_json::{Value, json};

use super::parsers::Parser;
use super::renderers::Renderer;
use super::views::View;

/// `determine_metadata`, with `determine_actions` where the view takes a POST.
#[must_use]
pub fn determine_metadata(view: &View, takes_post: bool) -> Value {
    let mut metadata = json!({
        "name": view.name,
        "description": view.description,
        "renders": view.renderers.iter().copied().map(Renderer::media_type).collect::<Vec<_>>(),
        "parses": view.parsers.iter().copied().map(Parser::media_type).collect::<Vec<_>>(),
    });
    if let (true, Some(serializer)) = (takes_post, view.serializer) {
        metadata["actions"] = json!({ "POST": serializer.info() });
    }
    metadata
}
