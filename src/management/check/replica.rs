//! `DATABASE_REPLICA_URL`: whether it can be used, and is a replica.

use super::issues::Issue;
use crate::db::replica;
use crate::settings::Settings;

/// The service starts without its replica, and asks the primary instead.
pub(super) async fn check_replica(settings: &Settings) -> Option<Issue> {
    let (id, message, hint) = match replica::is_standby(settings).await? {
        Ok(true) => return None,
        Ok(false) => (
            "W004",
            "the database follows no primary: what it says of tokens may be of the past for ever."
                .to_owned(),
            "Name a standby of the server of DATABASE_URL, or None. A subscriber of logical replication may be one, if it has both tables whole.",
        ),
        Err(error) => (
            "W003",
            format!("the replica cannot be used: {error}."),
            "Until it can, DATABASE_URL answers for it.",
        ),
    };
    Some(Issue::new("DATABASE_REPLICA_URL", id, message, hint))
}
