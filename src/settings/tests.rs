use super::*;

fn from(pairs: &[(&str, &str)]) -> Result<Settings, Vec<SettingError>> {
    Settings::from_sources(
        pairs.iter().map(|(name, value)| {
            ((*name).to_owned(), Raw::Text((*value).to_owned()), "test".to_owned())
        }),
        |_| Vec::new(),
    )
}

#[test]
fn every_default_of_the_table_is_valid_and_prints_as_written() {
    let settings = from(&[]).unwrap();
    for (row, (name, printed)) in TABLE.iter().zip(settings.printed()) {
        assert_eq!((row.name, row.default), (name, printed.as_str()));
    }
}

#[test]
fn all_mistakes_are_reported_together_with_name_value_source_and_remedy() {
    let errors =
        from(&[("APPEND_SLASH", "maybe"), ("NO_SUCH", "1"), ("BIND", "nowhere")]).unwrap_err();
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "APPEND_SLASH = \"maybe\" (test): write true or false");
    assert!(lines[1].starts_with("NO_SUCH (test): there is no such setting"), "{lines:?}");
    assert!(lines[2].starts_with("BIND = \"nowhere\" (test): write ADDRESS:PORT"));
}

#[test]
fn a_database_password_is_in_no_error_and_in_no_print() {
    let errors = from(&[("DATABASE_URL", "mysql://u:hunter2@h/db")]).unwrap_err();
    assert!(!errors[0].to_string().contains("hunter2"));
    let settings =
        from(&[("DATABASE_URL", "postgres://u:hunter2@h/db?sslpassword=hunter2")]).unwrap();
    let shown = format!("{:?} {:?}", settings, settings.printed().collect::<Vec<_>>());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn sqlite_urls_are_read_as_dj_database_url_reads_them() {
    for (url, path) in [
        ("sqlite:///db.sqlite3", "db.sqlite3"),
        ("sqlite:////var/lib/db.sqlite3", "/var/lib/db.sqlite3"),
        ("sqlite:///a%20b.sqlite3", "a b.sqlite3"),
    ] {
        let settings = from(&[("DATABASE_URL", url)]).unwrap();
        assert_eq!(settings.database_url, DatabaseUrl::Sqlite(path.to_owned()));
    }
    assert!(from(&[("DATABASE_URL", "sqlite://:memory:")]).is_err());
}

#[test]
fn a_user_without_a_host_is_one_of_a_unix_socket() {
    let read = |url| match from(&[("DATABASE_URL", url)]).map(|settings| settings.database_url) {
        Ok(DatabaseUrl::Postgres(url)) => url,
        other => format!("{other:?}"),
    };
    for (url, told) in [
        ("postgres://u@/d", "postgres:///d?user=u"),
        ("postgres://u@/d?host=/run/pg", "postgres:///d?host=/run/pg&user=u"),
        ("postgres://u@/d?user=other", "postgres:///d?user=other"),
        ("postgres://u%40x:p%2F%26@:5433/d", "postgres:///d?user=u%40x&password=p%2F%26&port=5433"),
        ("postgres://u@%2Frun%2Fpg:5433/d", "postgres://u@%2Frun%2Fpg:5433/d"),
        ("postgres:///d?host=/run/pg", "postgres:///d?host=/run/pg"),
    ] {
        assert_eq!(read(url), told);
    }
    let settings = from(&[("DATABASE_URL", "postgres://u:hunter2@/d")]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn lists_come_from_commas_and_from_arrays() {
    let settings = from(&[("ALLOWED_HOSTS", " a.example, .b.example ,")]).unwrap();
    assert_eq!(settings.allowed_hosts, ["a.example", ".b.example"]);
    let items = vec!["c.example".to_owned()];
    let source = [("ALLOWED_HOSTS".to_owned(), Raw::List(items.clone()), String::new())];
    assert_eq!(
        Settings::from_sources(source.into_iter(), |_| Vec::new()).unwrap().allowed_hosts,
        items
    );
}

#[test]
fn two_views_on_one_path_are_refused() {
    assert!(from(&[("LOGIN_PATH", "/x/"), ("SECRET_PATH", "/x/")]).is_err());
}

#[test]
fn the_path_of_forward_auth_is_a_folder_of_its_own() {
    let with = |path| from(&[("FORWARD_AUTH", "true"), ("FORWARD_AUTH_PATH", path)]).is_ok();
    assert!(with("/may/pass/") && with("/secrets/"));
    assert!(!with("/") && !with("///") && !with("/may") && !with("/secret/"));
    assert!(from(&[("FORWARD_AUTH", "true"), ("SECRET_PATH", "/forward-auth")]).is_err());
}

/// The README's table is this one, printed; on a difference the test prints it to paste.
#[test]
fn the_readme_has_this_table() {
    let row =
        |row: &Setting| format!("| `{}` | `{}` | {} |\n", row.name, row.default, row.help.trim());
    let rows: Vec<String> = TABLE.iter().map(row).collect();
    let rows = rows.concat().replace("``", "");
    let table = format!("| setting | default | |\n|---|---|---|\n{rows}");
    let readme = include_str!("../../README.md");
    let found = readme
        .split_once("<!-- settings -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- /settings -->"));
    assert!(found.is_some_and(|(found, _)| found == table), "put this into README.md:\n{table}");
}

#[test]
fn a_rule_over_several_values_names_the_setting_its_value_and_its_source() {
    let errors =
        from(&[("SECRET_PATH", "/api-token-auth/"), ("MAX_CONNECTIONS", "0")]).unwrap_err();
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "SECRET_PATH = \"/api-token-auth/\" (test): another view has this path; choose another one",
            "MAX_CONNECTIONS = \"0\" (test): write 1 to 1000000",
        ]
    );
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (pairs, name, remedy) in [
        (&[("TOKEN_KEYWORDS", "Token,token")][..], "TOKEN_KEYWORDS", "the same word"),
        (
            &[
                ("TOKEN_KEYWORDS", "Basic"),
                (
                    "DEFAULT_AUTHENTICATION_CLASSES",
                    "rest_framework.authentication.BasicAuthentication",
                ),
            ],
            "TOKEN_KEYWORDS",
            "Basic is the word",
        ),
        (&[("DATABASE_TRANSACTION_POOLING", "true")], "DATABASE_TRANSACTION_POOLING", "no pooler"),
        (&[("AUTH_USER_PASSWORD_COLUMN", "id")], "AUTH_USER_PASSWORD_COLUMN", "has this column"),
        (&[("AUTH_USER_IS_ACTIVE_COLUMN", "id")], "AUTH_USER_IS_ACTIVE_COLUMN", "has this column"),
        (&[("PYTHON_VERSION", "3.11")], "PYTHON_VERSION", "needs Python 3.12"),
        (&[("CSRF_TRUSTED_ORIGINS", "example.com")], "CSRF_TRUSTED_ORIGINS", "scheme"),
        (&[("CSRF_COOKIE_NAME", "a;b")], "CSRF_COOKIE_NAME", "cookie"),
    ] {
        let errors = from(pairs).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(name) && lines[0].contains(remedy), "{lines:?}");
    }
}

#[test]
fn each_wrong_item_of_a_list_is_told() {
    let errors = from(&[
        ("TRUSTED_PROXIES", "unix,nowhere,10.0.0.0/8,10.0.0.0/99"),
        ("DISALLOWED_USER_AGENTS", "(,bot,["),
    ]);
    let lines: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
    assert!(lines[0].contains("\"nowhere\" is none of"), "{lines:?}");
    assert!(lines[0].contains("; \"10.0.0.0/99\" is none of"), "{lines:?}");
    assert!(lines[1].contains("\"(\" cannot be used"), "{lines:?}");
    assert!(lines[1].contains("; \"[\" cannot be used"), "{lines:?}");
    let networks = from(&[("TRUSTED_PROXIES", "unix,10.0.0.1")]).unwrap().trusted_proxies;
    assert!(networks.unix() && networks.contains("10.0.0.1".parse().unwrap()));
}

#[test]
fn a_mistyped_setting_is_told_with_the_name_that_was_meant() {
    for (name, meant) in [
        ("ALOWED_HOSTS", "; did you mean ALLOWED_HOSTS?"),
        ("allowed_hosts", "; did you mean ALLOWED_HOSTS?"),
        ("LOGIN_PATHS", "; did you mean LOGIN_PATH?"),
        ("EMAIL_HOST_PASSWORD", "; see the table in README"),
    ] {
        let errors = from(&[(name, "x")]).unwrap_err();
        let wanted = format!("{name} (test): there is no such setting{meant}");
        assert_eq!(errors[0].to_string(), wanted);
    }
}

#[test]
fn the_value_of_an_unknown_setting_is_not_shown() {
    let errors = from(&[("EMAIL_HOST_PASSWORD", "hunter2")]).unwrap_err();
    assert!(!errors[0].to_string().contains("hunter2"));
}

#[test]
fn the_proxy_header_is_written_as_in_django() {
    let settings = from(&[("SECURE_PROXY_SSL_HEADER", "HTTP_X_FORWARDED_PROTO,https")]).unwrap();
    let (name, secure) = settings.proxy_ssl_header().unwrap();
    assert_eq!((name.as_str(), secure), ("x-forwarded-proto", "https"));
    assert!(from(&[("SECURE_PROXY_SSL_HEADER", "X-Forwarded-Proto,https")]).is_err());
}

#[test]
fn the_table_of_users_may_have_a_schema_but_not_in_sqlite() {
    let postgres = ("DATABASE_URL", "postgres://u@h/db");
    let table = from(&[postgres, ("AUTH_USER_TABLE", "accounts.User")]).unwrap().auth_user_table;
    assert_eq!(table.to_string(), r#""accounts"."User""#);
    assert_eq!(table.print(), "accounts.User");
    assert!(from(&[("AUTH_USER_TABLE", "accounts.user")]).is_err());
    for wrong in ["", ".", "a.", ".b", "a.b.c", "a\"b", &"x".repeat(64)] {
        assert!(from(&[postgres, ("AUTH_USER_TABLE", wrong)]).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_column_cannot_leave_its_quotes() {
    for name in [
        "AUTH_USER_PK_COLUMN",
        "AUTH_USER_USERNAME_COLUMN",
        "AUTH_USER_PASSWORD_COLUMN",
        "AUTH_USER_IS_ACTIVE_COLUMN",
    ] {
        assert!(from(&[(name, "with space")]).is_ok());
        let error = from(&[(name, "a\" = 1 OR \"b")]).unwrap_err();
        assert!(error[0].to_string().contains("write the name of a column"), "{error:?}");
    }
    assert!(from(&[("AUTH_USER_IS_ACTIVE_COLUMN", "None")]).is_ok());
    assert!(from(&[("AUTH_USER_PASSWORD_COLUMN", "")]).is_err());
}

#[test]
fn other_tables_than_djangos_are_known_as_such() {
    assert!(from(&[("AUTH_USER_PK_TYPE", "int")]).unwrap().has_djangos_tables());
    for (name, value) in [
        ("AUTH_USER_PK_TYPE", "uuid"),
        ("AUTH_USER_TABLE", "people"),
        ("AUTH_USER_IS_ACTIVE_COLUMN", "None"),
        ("AUTHTOKEN_TABLE", "tokens"),
    ] {
        assert!(!from(&[(name, value)]).unwrap().has_djangos_tables(), "{name}");
    }
    let groups = [("FORWARD_AUTH", "true"), ("FORWARD_AUTH_GROUPS_HEADER", "X-Groups")];
    assert!(from(&groups).is_ok());
    assert!(from(&[&groups[..], &[("AUTH_USER_TABLE", "people")]].concat()).is_err());
}

#[test]
fn a_replica_is_postgres_and_another_one_and_given_up_first() {
    let told = |settings: &[(&'static str, &str)]| from(settings).unwrap_err();
    let (primary, standby) = ("postgres://u:hunter2@h/db", "postgres://u:hunter2@s/db");
    let with = |url| [("DATABASE_URL", primary), ("DATABASE_REPLICA_URL", url)];
    assert!(from(&with(standby)).is_ok() && from(&with("None")).is_ok());
    for (settings, remedies) in [
        (&with("sqlite:///copy.sqlite3")[..], &["only PostgreSQL has replicas"][..]),
        (&[("DATABASE_REPLICA_URL", standby)], &["only PostgreSQL has replicas"]),
        (&with(primary), &["this is DATABASE_URL"]),
        (&with("mysql://u:hunter2@s/db"), &["mysql:// is not supported"]),
        (
            &[&with(primary)[..], &[("DATABASE_REPLICA_TIMEOUT", "5")]].concat(),
            &["this is DATABASE_URL", "write at most a quarter of DATABASE_TIMEOUT"],
        ),
    ] {
        let errors = told(settings);
        assert_eq!(errors.len(), remedies.len(), "{errors:?}");
        for (error, remedy) in errors.iter().zip(remedies) {
            assert!(error.to_string().contains(remedy), "{error}: {remedy}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn a_session_needs_a_key_which_is_never_shown() {
    let session = "rest_framework.authentication.SessionAuthentication";
    let classes = ("DEFAULT_AUTHENTICATION_CLASSES", session);
    for further in [("SECRET_KEY_FALLBACKS", "hunter2, again"), ("SECRET_KEY", "")] {
        let errors = from(&[classes, further]).unwrap_err();
        assert!(errors[0].to_string().starts_with("SECRET_KEY"), "{}", errors[0]);
        assert!(!format!("{errors:?}").contains("hunter2"));
    }
    let settings = from(&[classes, ("SECRET_KEY", "hunter2, again")]).unwrap();
    assert_eq!(settings.secret_keys().collect::<Vec<_>>(), ["hunter2, again"]);
    let printed: Vec<String> = settings.printed().map(|(_, value)| value).collect();
    assert!(!format!("{printed:?}{settings:?}").contains("hunter2"));
}
