//! `rest_framework.metadata.SimpleMetadata`: what OPTIONS answers.

use serde_json::{Map, Value, json};

use super::parsers::Parser;
use super::renderers::Renderer;
use super::view::View;
use crate::django::utils::translation::Translation;

/// `determine_metadata`, with `determine_actions` where the view takes a POST. Labels are in the
/// language of the request; the name and the description are not translated.
#[must_use]
pub fn determine_metadata(view: &View, takes_post: bool, translation: &Translation) -> Value {
    let renders: Vec<&str> = view.renderers.iter().copied().map(Renderer::media_type).collect();
    let parses: Vec<&str> = view.parsers.iter().copied().map(Parser::media_type).collect();
    let mut metadata = Map::from_iter([
        ("name".to_owned(), json!(view.name)),
        ("description".to_owned(), json!(view.description)),
        ("renders".to_owned(), json!(renders)),
        ("parses".to_owned(), json!(parses)),
    ]);
    if let (true, Some(serializer)) = (takes_post, view.serializer) {
        metadata.insert("actions".to_owned(), json!({ "POST": serializer.info(translation) }));
    }
    Value::Object(metadata)
}
