//! `django.core.management.commands.migrate`: the tables that Django would make, in a database
//! that has none of them.
//!
//! Why not run Django's migrations one by one? Their end is known, and a half-migrated
//! database is nobody's. On a database that Django made this command only looks.

use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use super::{CommandError, introspection};
use crate::db::Database;

const POSTGRES: &str = include_str!("migrate_postgres.sql");
const SQLITE: &str = include_str!("migrate_sqlite.sql");

/// One of our own runs at a time; Django's take no such lock, but fail on the tables' names.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('drf-authtoken migrate'))";

const TABLES: [&str; 9] = [
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "auth_user",
    "auth_user_groups",
    "auth_user_user_permissions",
    "authtoken_token",
];

/// The migrations whose end the two SQL files are, in the order in which Django applies them.
const MIGRATIONS: [(&str, &str); 18] = [
    ("contenttypes", "0001_initial"),
    ("contenttypes", "0002_remove_content_type_name"),
    ("auth", "0001_initial"),
    ("auth", "0002_alter_permission_name_max_length"),
    ("auth", "0003_alter_user_email_max_length"),
    ("auth", "0004_alter_user_username_opts"),
    ("auth", "0005_alter_user_last_login_null"),
    ("auth", "0006_require_contenttypes_0002"),
    ("auth", "0007_alter_validators_add_error_messages"),
    ("auth", "0008_alter_user_username_max_length"),
    ("auth", "0009_alter_user_last_name_max_length"),
    ("auth", "0010_alter_group_name_max_length"),
    ("auth", "0011_update_proxy_permissions"),
    ("auth", "0012_alter_user_first_name_max_length"),
    ("authtoken", "0001_initial"),
    ("authtoken", "0002_auto_20160226_1747"),
    ("authtoken", "0003_tokenproxy"),
    ("authtoken", "0004_alter_tokenproxy_options"),
];

/// The models that get a content type and permissions: app label, model, verbose name. In the
/// order of `create_permissions`; `create_contenttypes` goes through each app by name.
const MODELS: [(&str, &[(&str, &str)]); 3] = [
    ("contenttypes", &[("contenttype", "content type")]),
    ("auth", &[("permission", "permission"), ("group", "group"), ("user", "user")]),
    ("authtoken", &[("token", "Token"), ("tokenproxy", "Token")]),
];

/// Whose database it is.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// None of the tables is there.
    Nobody,
    /// All migrations that are needed have been applied.
    Django,
    /// Django's, but these migrations have not been applied.
    Unfinished(Vec<String>),
    /// These tables are there without a record of migrations.
    Unknown(Vec<String>),
}

/// Makes the tables, or says why it does not.
pub async fn run(database: &Database, out: &mut impl Write) -> Result<(), CommandError> {
    if database.is_pooled_by_transactions() {
        return Err(CommandError::new(
            "migrate wants PostgreSQL itself, not a pooler: give it that DATABASE_URL, and \
             DATABASE_TRANSACTION_POOLING=false.",
        ));
    }
    let done = migrate(database.connection(), database.timeout()).await;
    match done.map_err(|error| failed(&error))? {
        Owner::Nobody => Ok(tell(out, &MIGRATIONS)?),
        Owner::Django => Ok(tell(out, &[])?),
        Owner::Unfinished(missing) => Err(unfinished(&missing)),
        Owner::Unknown(tables) => Err(unknown(&tables)),
    }
}

/// Returns whose the database was. A look without a lock comes first: a database that is
/// somebody's is not written to, and may be busy.
async fn migrate(connection: &DatabaseConnection, timeout: Duration) -> Result<Owner, DbErr> {
    let mut owner = owner(connection).await?;
    if owner == Owner::Nobody {
        if connection.get_database_backend() == DbBackend::Sqlite {
            write_ahead(connection, timeout).await?;
        }
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = connection.begin_with_options(options).await?;
        owner = create_tables(&transaction).await?;
        transaction.commit().await?;
    }
    Ok(owner)
}

/// Gives SQLite's file a write-ahead log, which it keeps: who reads does not wait for who writes.
///
/// SQLite does not wait for the lock that this needs, and somebody else may be making the same tables.
async fn write_ahead(connection: &DatabaseConnection, timeout: Duration) -> Result<(), DbErr> {
    const PAUSE: Duration = Duration::from_millis(20);
    let give_up = Instant::now() + timeout;
    loop {
        match connection.execute_unprepared("PRAGMA journal_mode = WAL").await {
            Err(error) if error.to_string().contains("locked") && Instant::now() < give_up => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done.map(drop),
        }
    }
}

/// Looks again under the lock: somebody else may have been faster. Returns what it found.
async fn create_tables(transaction: &DatabaseTransaction) -> Result<Owner, DbErr> {
    let backend = transaction.get_database_backend();
    if backend == DbBackend::Postgres {
        transaction.execute_unprepared(LOCK).await?;
    }
    let owner = owner(transaction).await?;
    if owner == Owner::Nobody {
        let tables = if backend == DbBackend::Sqlite { SQLITE } else { POSTGRES };
        transaction.execute_unprepared(tables).await?;
        transaction.execute_unprepared(&rows(backend)).await?;
    }
    Ok(owner)
}

async fn owner(connection: &impl ConnectionTrait) -> Result<Owner, DbErr> {
    let mut found = introspection::table_names(connection).await?;
    found.retain(|name| TABLES.contains(&name.as_str()));
    if found.is_empty() {
        return Ok(Owner::Nobody);
    }
    if !found.iter().any(|name| name == "django_migrations") {
        return Ok(Owner::Unknown(found));
    }
    let sql = "SELECT app, name FROM django_migrations";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let mut missing: Vec<String> = MIGRATIONS.iter().map(dotted).collect();
    for row in connection.query_all_raw(statement).await? {
        let applied = [row.try_get::<String>("", "app")?, row.try_get("", "name")?].join(".");
        missing.retain(|migration| *migration != applied);
    }
    Ok(if missing.is_empty() { Owner::Django } else { Owner::Unfinished(missing) })
}

/// What Django's `migrate` leaves in the tables. The numbers come from the tables' own counters,
/// so that these go on where they should.
fn rows(backend: DbBackend) -> String {
    let now = match backend {
        DbBackend::Sqlite => "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        _ => "now()",
    };
    let mut sql = String::new();
    for (app, name) in MIGRATIONS {
        insert(
            &mut sql,
            "django_migrations (app, name, applied)",
            &format!("'{app}', '{name}', {now}"),
        );
    }
    for (app, models) in MODELS {
        let mut names: Vec<&str> = models.iter().map(|(model, _)| *model).collect();
        names.sort_unstable();
        for model in names {
            insert(
                &mut sql,
                "django_content_type (app_label, model)",
                &format!("'{app}', '{model}'"),
            );
        }
    }
    for (app, models) in MODELS {
        for (model, verbose_name) in models {
            permissions(&mut sql, app, model, verbose_name);
        }
    }
    sql
}

/// `create_permissions`: the default permissions of a model.
fn permissions(sql: &mut String, app: &str, model: &str, verbose_name: &str) {
    let content_type = format!(
        "(SELECT id FROM django_content_type WHERE app_label = '{app}' AND model = '{model}')"
    );
    for action in ["add", "change", "delete", "view"] {
        let values = format!("'Can {action} {verbose_name}', {content_type}, '{action}_{model}'");
        insert(sql, "auth_permission (name, content_type_id, codename)", &values);
    }
}

fn insert(sql: &mut String, table: &str, values: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(sql, "INSERT INTO {table} VALUES ({values});");
}

fn dotted((app, name): &(&str, &str)) -> String {
    format!("{app}.{name}")
}

fn tell(out: &mut impl Write, applied: &[(&str, &str)]) -> std::io::Result<()> {
    writeln!(out, "Operations to perform:")?;
    writeln!(out, "  Apply all migrations: auth, authtoken, contenttypes")?;
    writeln!(out, "Running migrations:")?;
    if applied.is_empty() {
        writeln!(out, "  No migrations to apply.")?;
    }
    for migration in applied {
        writeln!(out, "  Applying {}... OK", dotted(migration))?;
    }
    out.flush()
}

fn unfinished(missing: &[String]) -> CommandError {
    CommandError::new(format_args!(
        "This database belongs to a Django project that has not applied {}. Apply them there: put \
         'rest_framework.authtoken' in INSTALLED_APPS and run `python manage.py migrate`. Django's \
         tables are not changed from here.",
        missing.join(", ")
    ))
}

fn unknown(tables: &[String]) -> CommandError {
    CommandError::new(format_args!(
        "This database has the tables {} but no django_migrations table that says who made them. \
         Name an empty database in DATABASE_URL or, if Django made the tables, run `python manage.py \
         migrate --fake-initial`.",
        tables.join(", ")
    ))
}

fn failed(error: &DbErr) -> CommandError {
    CommandError::new(format_args!(
        "The tables could not be made: {error}. Nothing was changed. DATABASE_URL must name a \
         database, and for PostgreSQL a user who may create tables in it; if another migrate is \
         running, let it end first."
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::db::Missing;
    use crate::settings::Settings;
    use crate::state::State;

    static SITES: AtomicU32 = AtomicU32::new(0);

    /// A site on a SQLite file of its own, which goes with it.
    pub(in super::super) struct Site {
        pub(in super::super) state: State,
        file: PathBuf,
    }

    impl Site {
        /// On a database without tables.
        pub(in super::super) async fn empty() -> Self {
            let number = SITES.fetch_add(1, Ordering::Relaxed);
            let name = format!("drf-authtoken-{}-{number}.sqlite3", std::process::id());
            let file = std::env::temp_dir().join(name);
            let _ = std::fs::remove_file(&file);
            let url = format!("sqlite:///{}", file.display());
            let flags = [("DATABASE_URL", url), ("PBKDF2_ITERATIONS", "1000".to_owned())];
            let settings = Settings::load(None, &flags, |_| Vec::new()).unwrap();
            let database = Database::connect(&settings, Missing::Create).await.unwrap();
            Self { state: State::new(settings, database).unwrap(), file }
        }

        /// On a database with tables.
        pub(in super::super) async fn migrated() -> Self {
            let site = Self::empty().await;
            site.migrate().await.unwrap();
            site
        }

        /// What `migrate` prints.
        async fn migrate(&self) -> Result<String, String> {
            let mut out = Vec::new();
            let done = run(&self.state.database, &mut out).await;
            done.map(|()| String::from_utf8(out).unwrap()).map_err(|error| error.to_string())
        }

        pub(in super::super) async fn sql(&self, script: &str) {
            self.state.database.connection().execute_unprepared(script).await.unwrap();
        }

        /// The first value of a query, in text.
        pub(in super::super) async fn value(&self, sql: &str) -> Option<String> {
            let row = self.state.database.query_one(sql, []).await.unwrap()?;
            Some(row.try_get_by_index(0).unwrap())
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", self.file.display()));
            }
        }
    }

    #[tokio::test]
    async fn an_empty_database_gets_the_tables_and_says_so_as_django_does() {
        let site = Site::empty().await;
        let told = site.migrate().await.unwrap();
        let begin = "Operations to perform:\n  Apply all migrations: auth, authtoken, contenttypes\nRunning migrations:\n  Applying contenttypes.0001_initial... OK\n";
        assert!(told.starts_with(begin), "{told}");
        assert_eq!(told.matches("... OK\n").count(), MIGRATIONS.len());
    }

    #[tokio::test]
    async fn the_second_time_there_is_nothing_to_apply() {
        let site = Site::migrated().await;
        assert!(site.migrate().await.unwrap().ends_with("\n  No migrations to apply.\n"));
    }

    #[tokio::test]
    async fn rows_are_those_of_django() {
        let site = Site::migrated().await;
        let types = "SELECT group_concat(id || model, ' ') FROM (SELECT id, model FROM django_content_type ORDER BY id)";
        assert_eq!(
            site.value(types).await.unwrap(),
            "1contenttype 2group 3permission 4user 5token 6tokenproxy"
        );
        let names = "SELECT group_concat(id || ' ' || content_type_id || ' ' || name || ' ' || codename, ', ') FROM (SELECT id, content_type_id, name, codename FROM auth_permission ORDER BY id)";
        let names = site.value(names).await.unwrap();
        assert!(names.starts_with("1 1 Can add content type add_contenttype, "), "{names}");
        assert!(names.contains("5 3 Can add permission add_permission, "), "{names}");
        assert!(names.ends_with("24 6 Can view Token view_tokenproxy"), "{names}");
        let applied =
            site.value("SELECT DISTINCT length(applied) || '' FROM django_migrations").await;
        assert_eq!(applied.as_deref(), Some("26"));
    }

    #[tokio::test]
    async fn a_missing_migration_is_named_and_nothing_is_changed() {
        let site = Site::migrated().await;
        site.sql("DROP TABLE authtoken_token; DELETE FROM django_migrations WHERE app = 'authtoken' AND name > '0002'").await;
        let refused = site.migrate().await.unwrap_err();
        assert!(refused.contains("not applied authtoken.0002_auto_20160226_1747, authtoken.0003_tokenproxy, authtoken.0004"), "{refused}");
        assert!(refused.contains("python manage.py migrate"), "{refused}");
        let tables = "SELECT name FROM sqlite_master WHERE name = 'authtoken_token'";
        assert_eq!(site.value(tables).await, None);
    }

    #[tokio::test]
    async fn migrations_and_tables_of_other_apps_do_no_harm() {
        let site = Site::empty().await;
        site.sql("CREATE TABLE shop_order (id integer)").await;
        site.migrate().await.unwrap();
        site.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0013_later', '2030-01-01')").await;
        assert!(site.migrate().await.unwrap().ends_with("No migrations to apply.\n"));
    }

    #[tokio::test]
    async fn tables_without_a_record_of_migrations_are_left_alone() {
        let site = Site::empty().await;
        site.sql("CREATE TABLE auth_user (id integer)").await;
        let refused = site.migrate().await.unwrap_err();
        assert!(
            refused.starts_with(
                "CommandError: This database has the tables auth_user but no django_migrations"
            ),
            "{refused}"
        );
        let tables = "SELECT name FROM sqlite_master WHERE name = 'authtoken_token'";
        assert_eq!(site.value(tables).await, None);
    }

    #[tokio::test]
    async fn of_many_at_once_one_makes_the_tables() {
        let site = Site::empty().await;
        let (one, two, three) = tokio::join!(site.migrate(), site.migrate(), site.migrate());
        let told = [one, two, three].map(Result::unwrap);
        assert_eq!(told.iter().filter(|told| told.contains("... OK")).count(), 1, "{told:?}");
    }
}
