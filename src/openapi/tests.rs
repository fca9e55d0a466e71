use super::*;
use crate::rest_framework::renderers::{render_json, render_yaml};

fn documents() -> Schema {
    schema(&Settings::defaults().unwrap()).unwrap()
}

#[test]
fn the_committed_documents_are_the_generated_ones() {
    let Schema { own, spectacular } = documents();
    for (name, text, committed) in [
        ("openapi.yaml", render_yaml(&own), include_str!("../../openapi/openapi.yaml")),
        ("openapi.json", render_json(&own, 2), include_str!("../../openapi/openapi.json")),
        (
            "drf-spectacular.yaml",
            render_yaml(&spectacular),
            include_str!("../../openapi/drf-spectacular.yaml"),
        ),
        (
            "drf-spectacular.json",
            render_json(&spectacular, 2),
            include_str!("../../openapi/drf-spectacular.json"),
        ),
    ] {
        let text = String::from_utf8(text).unwrap();
        assert!(text.trim_end() == committed.trim_end(), "openapi/{name}: see its README");
    }
}

#[test]
fn the_schemas_of_the_login_have_the_fields_of_its_serializer() {
    let schemas = &documents().own["components"]["schemas"];
    for field in ObtainAuthToken::VIEW.serializer.unwrap().fields {
        let schema = if field.read_only { "AuthToken" } else { "AuthTokenRequest" };
        let properties = schemas[schema]["properties"].as_object().unwrap();
        assert!(properties.contains_key(field.name), "{}", field.name);
    }
    assert_eq!(schemas["AuthToken"]["properties"].as_object().unwrap().len(), 1);
    assert_eq!(schemas["AuthTokenRequest"]["properties"].as_object().unwrap().len(), 2);
}

#[test]
fn paths_and_names_follow_the_settings() {
    let mut settings = Settings::defaults().unwrap();
    settings.secret_path = Some("/intern/me/".to_owned());
    let Schema { own, spectacular } = schema(&settings).unwrap();
    let paths: Vec<&String> = own["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/api-token-auth/", "/intern/me/", "/api/schema/"]);
    for document in [own, spectacular] {
        let operation = &document["paths"]["/intern/me/"]["get"];
        assert_eq!(operation["operationId"], "intern_me_retrieve");
        assert_eq!(operation["tags"], json!(["intern"]));
    }
}

#[test]
fn only_known_dialects_are_taken() {
    assert_eq!(Dialect::from_query(None).unwrap(), Dialect::DrfAuthtoken);
    assert_eq!(Dialect::from_query(Some("drf-spectacular")).unwrap(), Dialect::DrfSpectacular);
    assert_eq!(Dialect::from_query(Some("x")).unwrap_err().status_code(), 400);
}
