//! `drf_spectacular.openapi.AutoSchema`: operation ids and tags, made from the paths, so that
//! the method names of generated clients stay what they were.

use std::iter::zip;

/// The names under a URL configuration.
pub(super) struct Names<'a> {
    /// `SCHEMA_PATH_PREFIX`: the components that are in no name.
    prefix: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// With this prefix, or the first components that all `paths` share.
    pub(super) fn new(prefix: Option<&'a str>, paths: &[&'a str]) -> Self {
        let shared = || {
            let mut paths = paths.iter().map(|path| components(path));
            let first = paths.next().unwrap_or_default();
            paths.fold(first, |shared, path| {
                let both = zip(shared, path).take_while(|(one, other)| one == other);
                both.map(|(one, _)| one).collect()
            })
        };
        Self { prefix: prefix.map_or_else(shared, components) }
    }

    /// `get_operation_id`.
    pub(super) fn operation_id(&self, path: &str, method: &str) -> String {
        let action = match method {
            "get" => "retrieve",
            "post" => "create",
            other => other,
        };
        let tokens = self.tokenize_path(path);
        let tokens = if tokens.is_empty() { vec!["root"] } else { tokens };
        let words = tokens.iter().map(|token| token.replace('-', "_"));
        words.chain([action.to_owned()]).collect::<Vec<_>>().join("_")
    }

    /// `get_tags`: one, or none.
    pub(super) fn tags<'p>(&self, path: &'p str) -> Vec<&'p str> {
        self.tokenize_path(path).into_iter().take(1).collect()
    }

    fn tokenize_path<'p>(&self, path: &'p str) -> Vec<&'p str> {
        let parts = components(path);
        let is_below = parts.starts_with(&self.prefix);
        parts.into_iter().skip(if is_below { self.prefix.len() } else { 0 }).collect()
    }
}

fn components(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_path() {
        let names = Names::new(None, &["/api-token-auth/", "/secret/"]);
        assert_eq!(names.operation_id("/api-token-auth/", "post"), "api_token_auth_create");
        assert_eq!(names.operation_id("/secret/", "get"), "secret_retrieve");
        assert_eq!(names.tags("/api-token-auth/"), ["api-token-auth"]);
    }

    #[test]
    fn what_all_paths_share_is_in_no_name() {
        let names = Names::new(None, &["/api/v1/login/", "/api/v1/me/"]);
        assert_eq!(names.operation_id("/api/v1/login/", "post"), "login_create");
        assert_eq!(names.operation_id("/api/schema/", "get"), "api_schema_retrieve");
        assert_eq!(names.tags("/api/v1/me/"), ["me"]);
        let names = Names::new(None, &["/api/", "/api/me/"]);
        assert_eq!(names.operation_id("/api/", "post"), "root_create");
        assert_eq!(names.tags("/api/"), Vec::<&str>::new());
        let names = Names::new(Some("/api"), &["/api/v1/login/", "/api/v1/me/"]);
        assert_eq!(names.operation_id("/api/v1/login/", "post"), "v1_login_create");
    }
}
