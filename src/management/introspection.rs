//! `django.db.backends.base.introspection`: what tables and columns a database has.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use crate::settings::TableName;

/// A column as the database describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type, lower case, without a length.
    pub(super) data_type: String,
    /// Whether it may be NULL.
    pub(super) null_ok: bool,
    /// Whether an INSERT may leave it out.
    pub(super) has_default: bool,
    /// What this role may do with it.
    pub(super) granted: Granted,
}

/// What a role may do with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    Select,
    Insert,
    Update,
}

/// The privileges of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    select: bool,
    insert: bool,
    update: bool,
}

impl Granted {
    /// Whether it is among them.
    pub(super) fn has(self, privilege: Privilege) -> bool {
        match privilege {
            Privilege::Select => self.select,
            Privilege::Insert => self.insert,
            Privilege::Update => self.update,
        }
    }
}

// `pg_table_is_visible` and `to_regclass` follow the search path, as unqualified names do.
const TABLES_POSTGRES: &str = "SELECT c.relname::text AS name FROM pg_catalog.pg_class c \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.pg_table_is_visible(c.oid)";
const TABLES_SQLITE: &str = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')";

const COLUMNS_POSTGRES: &str = "SELECT a.attname::text AS name, t.typname::text AS data_type, \
    NOT a.attnotnull AS null_ok, \
    (NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '') AS has_default, \
    has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS selects, \
    has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS inserts, \
    has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS updates \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
// An INTEGER PRIMARY KEY numbers itself.
const COLUMNS_SQLITE: &str = "SELECT name, type AS data_type, (\"notnull\" = 0 AND pk = 0) AS null_ok, \
    (\"notnull\" = 0 OR dflt_value IS NOT NULL OR pk > 0) AS has_default, \
    true AS selects, true AS inserts, true AS updates FROM pragma_table_info($1)";

const UNIQUE_POSTGRES: &str = "SELECT a.attname::text AS name FROM pg_catalog.pg_index i \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
    WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 \
    AND i.indpred IS NULL";
const UNIQUE_SQLITE: &str = "SELECT max(i.name) AS name FROM pragma_index_list($1) l, \
    pragma_index_info(l.name) i WHERE l.\"unique\" = 1 AND l.partial = 0 GROUP BY l.name \
    HAVING count(*) = 1 UNION SELECT name FROM pragma_table_info($1) t WHERE pk = 1 \
    AND NOT EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE pk = 2)";

// A table of the same name in another schema is another table.
const STRAYS_POSTGRES: &str = "SELECT a.attname::text AS name, c.confrelid::regclass::text AS referenced \
    FROM pg_catalog.pg_constraint c \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
    WHERE c.contype = 'f' AND c.conrelid = to_regclass($1) \
    AND c.confrelid IS DISTINCT FROM to_regclass($2)";
const STRAYS_SQLITE: &str = "SELECT \"from\" AS name, \"table\" AS referenced \
    FROM pragma_foreign_key_list($1) WHERE \"table\" <> $2 COLLATE NOCASE";

/// The names of all tables and views.
pub(super) async fn table_names(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let rows = query(connection, TABLES_POSTGRES, TABLES_SQLITE, &[]).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

/// The columns of a table; none for a table that is not there.
pub(super) async fn columns(
    connection: &impl ConnectionTrait,
    table: &TableName,
) -> Result<Vec<Column>, DbErr> {
    let rows = query(connection, COLUMNS_POSTGRES, COLUMNS_SQLITE, &[table]).await?;
    rows.iter().map(Column::from_row).collect()
}

/// The columns that are unique by themselves.
pub(super) async fn unique_columns(
    connection: &impl ConnectionTrait,
    table: &TableName,
) -> Result<Vec<String>, DbErr> {
    let rows = query(connection, UNIQUE_POSTGRES, UNIQUE_SQLITE, &[table]).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

/// The columns that are foreign keys to another table than `expected`, each with that table.
pub(super) async fn stray_references(
    connection: &impl ConnectionTrait,
    table: &TableName,
    expected: &TableName,
) -> Result<Vec<(String, String)>, DbErr> {
    let rows = query(connection, STRAYS_POSTGRES, STRAYS_SQLITE, &[table, expected]).await?;
    let pair = |row: &QueryResult| Ok((row.try_get("", "name")?, row.try_get("", "referenced")?));
    rows.iter().map(pair).collect()
}

async fn query(
    connection: &impl ConnectionTrait,
    postgres: &str,
    sqlite: &str,
    tables: &[&TableName],
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = connection.get_database_backend();
    // `to_regclass` reads a name as statements do, SQLite's functions as it is.
    let name = |table: &&TableName| match backend {
        DbBackend::Sqlite => table.name().to_owned(),
        _ => table.to_string(),
    };
    let sql = if backend == DbBackend::Sqlite { sqlite } else { postgres };
    let values = tables.iter().map(|table| name(table).into());
    connection.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await
}

impl Column {
    fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        let data_type: String = row.try_get("", "data_type")?;
        let data_type = data_type.to_ascii_lowercase();
        Ok(Self {
            name: row.try_get("", "name")?,
            data_type: data_type.split('(').next().unwrap_or_default().trim().to_owned(),
            null_ok: row.try_get("", "null_ok")?,
            has_default: row.try_get("", "has_default")?,
            granted: Granted {
                select: row.try_get("", "selects")?,
                insert: row.try_get("", "inserts")?,
                update: row.try_get("", "updates")?,
            },
        })
    }
}
