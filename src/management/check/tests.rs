//! Each rule against tables in SQLite.

use super::*;
use crate::management::migrate::tests::Site;
use crate::state::State;

/// What is said after the settings, or the error.
async fn check(site: &Site) -> Result<String, String> {
    let mut out = Vec::new();
    let State { settings, database, now, .. } = &site.state;
    let done = run(settings, database, None, FailLevel::Error, *now, &mut out).await;
    let told = String::from_utf8(out).unwrap();
    assert!(told.starts_with("DATABASE_URL = "), "{told}");
    done.map_err(|error| error.to_string())?;
    Ok(told.lines().last().unwrap().to_owned())
}

#[tokio::test]
async fn our_own_tables_have_no_issues() {
    let site = Site::migrated().await;
    let told = check(&site).await;
    assert_eq!(told.as_deref(), Ok("System check identified no issues (0 silenced)."));
    require_tables(&site.state.settings, &site.state.database).await.unwrap();
}

#[tokio::test]
async fn more_columns_and_tables_do_no_harm() {
    let site = Site::migrated().await;
    site.sql("ALTER TABLE auth_user ADD shoe_size integer; ALTER TABLE authtoken_token ADD note text NOT NULL DEFAULT ''; CREATE TABLE shop (id integer)").await;
    assert!(check(&site).await.is_ok());
}

#[tokio::test]
async fn a_missing_table_is_named_with_its_remedy() {
    let site = Site::migrated().await;
    site.sql("DROP TABLE authtoken_token").await;
    let error = check(&site).await.unwrap_err();
    assert!(error.starts_with("SystemCheckError: System check identified some issues:\n\nERRORS:\nauthtoken_token: (drf_authtoken.E001) "), "{error}");
    let hint = "\n\tHINT: The migration authtoken.0001_initial makes it: run `python manage.py migrate authtoken`";
    assert!(error.contains(hint), "{error}");
    assert!(error.ends_with("\n\nSystem check identified 1 issue (0 silenced)."), "{error}");
    assert!(require_tables(&site.state.settings, &site.state.database).await.is_err());
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_migration_that_makes_it() {
    let site = Site::migrated().await;
    site.sql("ALTER TABLE auth_user DROP COLUMN is_active").await;
    let flags = [
        ("DEFAULT_AUTHENTICATION_CLASSES", "rest_framework.authentication.SessionAuthentication"),
        ("SECRET_KEY", "key"),
    ];
    let flags = flags.map(|(name, value)| (name, value.to_owned()));
    let settings = Settings::load(None, &flags, |_| Vec::new()).unwrap();
    let issues = check_tables(&settings, &site.state.database).await.unwrap();
    let found: Vec<(&str, &str)> =
        issues.errors.iter().map(|issue| (issue.object.as_str(), issue.hint.as_str())).collect();
    for (object, migration) in
        [("auth_user.is_active", "auth.0001_initial"), ("django_session", "sessions.0001_initial")]
    {
        let is_told = found.iter().any(|(of, hint)| *of == object && hint.contains(migration));
        assert!(is_told, "{object}: {found:?}");
    }
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn each_difference_of_a_column_is_named() {
    let site = Site::migrated().await;
    site.sql("DROP TABLE authtoken_token; CREATE TABLE authtoken_token (key varchar(40) NOT NULL, created text NOT NULL, user_id integer REFERENCES people (id), scope text NOT NULL)").await;
    let error = check(&site).await.unwrap_err();
    for said in [
        "authtoken_token.created: (drf_authtoken.E003) the column is of type text, not a timestamp",
        "authtoken_token.key: (drf_authtoken.E005)",
        "authtoken_token.scope: (drf_authtoken.E007)",
        "authtoken_token.user_id: (drf_authtoken.E004)",
        "authtoken_token.user_id: (drf_authtoken.E005)",
        "authtoken_token.user_id: (drf_authtoken.E006) tokens belong to the users of the table people",
        "identified 6 issues",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[tokio::test]
async fn what_only_a_command_needs_is_a_warning() {
    let site = Site::migrated().await;
    site.sql("ALTER TABLE auth_user DROP COLUMN first_name").await;
    assert!(require_tables(&site.state.settings, &site.state.database).await.is_ok());
    let issues = check_tables(&site.state.settings, &site.state.database).await.unwrap();
    assert!(issues.text().contains("\nWARNINGS:\nauth_user.first_name: (drf_authtoken.E002)"));
}

#[tokio::test]
async fn iterations_of_another_django_are_a_warning_with_its_version() {
    let site = Site::migrated().await;
    let insert = |id: u32, password: &str| {
        format!(
            "INSERT INTO auth_user VALUES ({id}, '{password}', NULL, 0, 'u{id}', '', '', 0, 1, '2026-01-01', '')"
        )
    };
    for (id, password, said) in [
        (1, "!unusable", None),
        (2, "pbkdf2_sha256$1000$s$h", None),
        (3, "pbkdf2_sha256$600000$s$h", Some("set DJANGO_VERSION to 4.2")),
        (4, "pbkdf2_sha256$7$s$h", Some("set PBKDF2_ITERATIONS to 7")),
    ] {
        site.sql(&insert(id, password)).await;
        let issue = check_hashers(&site.state.database, &site.state.settings).await.unwrap();
        let hint = issue.map(|issue| issue.hint);
        assert_eq!(hint.is_some(), said.is_some(), "{password}");
        assert!(hint.unwrap_or_default().contains(said.unwrap_or_default()), "{password}");
    }
}
